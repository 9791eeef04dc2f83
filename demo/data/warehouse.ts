import { randomUUID } from 'node:crypto'
import { createError } from '@fastify/error'
import { Type, type Static } from '@fastify/type-provider-typebox'

const STATES = ['placed', 'packed', 'shipped', 'delivered']
const STEP = 1_000
const KEPT = 1_000

export const OrderSchema = Type.Object({
  id: Type.String({ format: 'uuid' }),
  item: Type.String(),
  state: Type.String({ enum: STATES }),
  time: Type.Integer({ description: 'When it came to this state, in ms since 1970' })
})
export type Order = Static<typeof OrderSchema>

export const UnknownOrder = createError('UNKNOWN_ORDER', 'There is no order %s', 404)

export interface Warehouse {
  place (item: string): Order
  /** An order as it is now. @throws UnknownOrder */
  find (id: string): Order
  /** Stops all work. */
  close (): void
}

/** A simulated warehouse, which takes every order one step further each second and knows the newest 1000. `tell` hears of each step. */
export function openWarehouse (tell: (order: Order) => void): Warehouse {
  const orders = new Map<string, Order>()
  const timers = new Set<NodeJS.Timeout>()

  function reach (order: Order): void {
    orders.set(order.id, order)
    tell(order)
    const state = STATES[STATES.indexOf(order.state) + 1]
    if (state === undefined) return
    const timer = setTimeout(() => {
      timers.delete(timer)
      if (orders.has(order.id)) reach({ ...order, state, time: Date.now() })
    }, STEP).unref()
    timers.add(timer)
  }

  return {
    place (item) {
      const order = { id: randomUUID(), item, state: 'placed', time: Date.now() }
      reach(order)
      const [oldest] = orders.keys()
      if (oldest !== undefined && orders.size > KEPT) orders.delete(oldest)
      return order
    },
    find (id) {
      const order = orders.get(id)
      if (order === undefined) throw new UnknownOrder(id)
      return order
    },
    close () {
      for (const timer of timers) clearTimeout(timer)
    }
  }
}
