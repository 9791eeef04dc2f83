import { ok, rejects } from 'node:assert/strict'
import type { Publication } from '../../lib/backplane.js'
import type { Logged } from './log.js'
import type { Model } from './model.js'
import type { World } from './world.js'

/**
 * An action on the server. It starts at once, so that several fall into one tick, and resolves once its result is as expected. With Redis
 * the entries of a tick are received after its other acts, in the order of the calls.
 */
export interface Act {
  readonly name: string
  run (model: Model, world: World): Promise<void>
}

/** The text that makes an event big. */
const FILLER = 'x'.repeat(65_536)

/** Values that are not payloads, with the error code. */
const BAD: ReadonlyArray<readonly [unknown, string]> = [
  [7, 'SSE_ERR_PAYLOAD'], [[], 'SSE_ERR_PAYLOAD'], [{ event: 'a\nb' }, 'SSE_ERR_FIELD'],
  [{ retry: -1 }, 'SSE_ERR_FIELD'], [{ data: 1n }, 'SSE_ERR_SERIALIZATION']
]

export const badPayloads = BAD.length

/** The streams that get an event. */
export interface Audience {
  to: Publication['to']
  /** Topics, with repetitions, or one client id. */
  names: string[]
  except: string | null
}

export const ALL: Audience = { to: 'all', names: [], except: null }

/** Resolves once all acts of a tick have started: each starts without a wait. */
async function othersOfTick (): Promise<void> {}

export function publish ({ to, names, except }: Audience, big = false): Act {
  const [name = ''] = names
  return {
    name: `publish to ${to} ${names}${except === null ? '' : ` except ${except}`}`,
    async run (model, { app, backplane }) {
      const data = String(model.next++)
      const event: Logged = { id: '', data, to, names: [...new Set(names)], except, big }
      const text = big ? `${data} ${FILLER}` : data
      const topics = names.length === 1 ? name : names
      let published
      if (to === 'topic') published = app.sse.publish(topics, text, except === null ? {} : { except })
      else published = to === 'all' ? app.sse.broadcast(text) : app.sse.sendTo(name, text)
      if (backplane.isRemote) await othersOfTick()
      model.publish(event)
      event.id = await published
    }
  }
}

/** Sends to the id of a stream, which is the client id too if the application gave none. */
export function sendToStream (number: number): Act {
  return {
    name: `send to the stream of ${number}`,
    async run (model, world) {
      const id = world.streams[number]?.id
      if (id !== undefined) await publish({ to: 'client', names: [id], except: null }).run(model, world)
    }
  }
}

/** @param id a custom id */
export function send (number: number, id?: string): Act {
  return {
    name: `send to ${number}${id === undefined ? '' : ` with the id "${id}"`}`,
    async run (model, world) {
      const client = model.client(number)
      const stream = world.streams[number]
      // its place within a replay cannot be predicted
      if (stream === undefined || client.catchesUp) return
      const data = String(model.next++)
      const payload = id === undefined ? data : { id, data }
      if (id !== undefined && client.followed) {
        await rejects(stream.send(payload), { code: 'SSE_ERR_CUSTOM_ID' })
        return
      }
      const { open } = client
      model.send(client, data, id)
      world.waiting++
      const settled = stream.send(payload).then((taken) => {
        world.waiting--
        if (taken) ok(open, 'a stream that is closed takes nothing')
        else ok(stream.closed, 'a stream that is open refuses nothing')
      })
      // `send` may wait for a client that does not read until it is gone
      if (client.link !== 'paused') await settled
    }
  }
}

export function sendBad (number: number, kind: number): Act {
  const [payload, code] = BAD[kind] ?? BAD[0] ?? []
  return {
    name: `send to ${number} what fails with ${code}`,
    async run (_model, world) {
      // the types forbid it
      const bad = payload as string
      const stream = world.streams[number]
      if (stream !== undefined) await rejects(stream.send(bad), { code })
      await rejects(world.app.sse.publish('a', bad), { code: /^SSE_ERR_/ })
    }
  }
}

export function subscribe (number: number, topic: string): Act {
  return {
    name: `subscribe ${number} to ${topic}`,
    async run (model, world) {
      if (model.client(number).catchesUp) return
      model.subscribe(model.client(number), topic)
      world.streams[number]?.subscribe(topic)
    }
  }
}

export function unsubscribe (number: number, topic: string): Act {
  return {
    name: `unsubscribe ${number} from ${topic}`,
    async run (model, world) {
      if (model.client(number).catchesUp) return
      model.client(number).topics.delete(topic)
      world.streams[number]?.unsubscribe(topic)
    }
  }
}

export function close (number: number): Act {
  return {
    name: `close ${number}`,
    async run (model, world) {
      model.close(model.client(number), 'server')
      world.streams[number]?.close()
    }
  }
}

/** Closes the streams of a client id, in all processes. */
export function closeClient (clientId: string): Act {
  return {
    name: `close the client ${clientId}`,
    async run (model, { app, backplane }) {
      const closing = app.sse.close(clientId)
      const id = backplane.controlId
      if (backplane.isRemote) await othersOfTick()
      const entry = model.control()
      for (const client of model.clients) if (client.clientId === clientId) model.close(client, 'server')
      entry.id = await id
      await closing
    }
  }
}

/** Removes a topic from the streams of a client id, in all processes. */
export function unsubscribeClient (clientId: string, topic: string): Act {
  return {
    name: `unsubscribe the client ${clientId} from ${topic}`,
    async run (model, { app, backplane }) {
      const clients = model.clients.filter((client) => client.clientId === clientId)
      if (clients.some(({ catchesUp }) => catchesUp)) return
      const unsubscribing = app.sse.unsubscribe(clientId, topic)
      const id = backplane.controlId
      if (backplane.isRemote) await othersOfTick()
      const entry = model.control()
      for (const { topics } of clients) topics.delete(topic)
      entry.id = await id
      await unsubscribing
    }
  }
}
