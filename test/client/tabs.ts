import type { Test } from 'tap'
import { sse, type SSEClientOptionsFor, type SSEError, type SSEEvents } from '../../lib/client/index.js'
import { until } from '../helpers/until.js'

/** The exclusive locks of Web Locks, for several tabs in one process. Grants each lock in the order of the requests. */
export class Locks {
  /** The number of calls of `request`. */
  requests = 0
  readonly #queues = new Map<string, Array<() => Promise<unknown>>>()

  async query (): Promise<{ held: string[] }> {
    return { held: [...this.#queues.keys()] }
  }

  request (name: string, { signal }: { signal?: AbortSignal }, whileHeld: () => Promise<unknown>): Promise<unknown> {
    this.requests++
    const queue = this.#queues.get(name) ?? []
    this.#queues.set(name, queue)
    return new Promise((resolve, reject) => {
      let granted = false
      const grant = async () => {
        granted = true
        try {
          resolve(await whileHeld())
        } catch (error) {
          reject(error)
        }
        leave()
        await queue[0]?.()
      }
      const leave = () => {
        queue.splice(queue.indexOf(grant), 1)
        if (queue.length === 0) this.#queues.delete(name)
      }
      signal?.addEventListener('abort', () => {
        if (granted) return
        leave()
        reject(signal.reason)
      })
      if (queue.push(grant) === 1) queueMicrotask(() => { if (queue[0] === grant) grant() })
    })
  }
}

/** Sets globals for the time of a test. */
export function setGlobals (t: Test, globals: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(globals)) {
    const before = Object.getOwnPropertyDescriptor(globalThis, name)
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
    t.teardown(() => before === undefined ? Reflect.deleteProperty(globalThis, name) : Object.defineProperty(globalThis, name, before))
  }
}

type Events = Record<string, unknown>
type Options = SSEClientOptionsFor<Events>

/** A loop over shared events, as one tab has it. */
export interface Tab {
  /** The page's events: freeze, resume, pagehide, pageshow. */
  page: EventTarget
  data: unknown[]
  ids: Array<string | undefined>
  /** The values that `onShare` was called with. */
  holds: boolean[]
  events: SSEEvents<Events>
  /** Undefined while the loop runs. */
  result: { error: SSEError | undefined } | undefined
}

/** Makes this process a browser's origin, and returns a function that opens tabs. Tabs are closed at the end of the test. */
export function makeOrigin (t: Test): { locks: Locks, openTab: (url: string, options?: Options & { each?: (data: unknown) => unknown }) => Promise<Tab> } {
  const locks = new Locks()
  setGlobals(t, { location: {}, navigator: { locks }, addEventListener: undefined })
  return {
    locks,
    async openTab (url, { each, ...options } = {}) {
      const page = new EventTarget()
      Object.assign(globalThis, { addEventListener: page.addEventListener.bind(page) })
      const requests = locks.requests
      const events: SSEEvents<Events> = sse<Events>(url, { share: 'a', retry: { delay: 1, maxDelay: 1 }, onShare: ({ holds }) => { tab.holds.push(holds) }, ...options })
      const tab: Tab = { page, data: [], ids: [], holds: [], events, result: undefined }
      const read = async () => {
        for await (const { id, data } of events) {
          tab.ids.push(id)
          tab.data.push(data)
          await each?.(data)
        }
      }
      read().then(() => { tab.result = { error: undefined } }, (error: SSEError) => { tab.result = { error } })
      t.teardown(() => events.return?.())
      await until('the tab takes part', () => locks.requests > requests || tab.result !== undefined)
      return tab
    }
  }
}
