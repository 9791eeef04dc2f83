import type { Socket } from 'node:net'
import type { Test } from 'tap'
import { connectSocket, open, until } from '../helpers/app.js'
import { testNginx } from '../docs/nginx.js'
import { ChaosApp, KINDS } from './app.js'
import { startNginx } from '../helpers/nginx.js'
import { readWitness, requestFor } from './requests.js'

/** Configurations of nginx, by description. */
const SETUPS = {
  'proxy_buffering on, HTTP/1.0': 'proxy_buffering on; proxy_http_version 1.0;',
  'proxy_buffering on, HTTP/1.1': 'proxy_buffering on; proxy_http_version 1.1; proxy_set_header Connection "";',
  'proxy_buffering off, HTTP/1.0': 'proxy_buffering off; proxy_http_version 1.0;',
  'proxy_buffering off, HTTP/1.1': 'proxy_buffering off; proxy_http_version 1.1; proxy_set_header Connection "";',
  'proxy_buffering on, X-Accel-Buffering ignored': 'proxy_buffering on; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_ignore_headers X-Accel-Buffering;'
}

const GETS = KINDS.filter((kind) => kind !== '/post')

/** Connects clients to every kind of route through nginx. */
async function clients (t: Test, port: number): Promise<(Socket & { text: string })[]> {
  return Promise.all(KINDS.map(async (kind) => {
    const socket = await connectSocket(t, port)
    socket.write(requestFor(kind))
    return socket
  }))
}

testNginx('behind nginx', async (t) => {
  const chaos = await ChaosApp.start(t, { keepAliveTimeout: 500 }, readWitness)

  for (const [setup, location] of Object.entries(SETUPS)) {
    t.test(`clients and workers of nginx that disconnect leave nothing: ${setup}`, async (t) => {
      const nginx = await startNginx(t, chaos.port, location)
      const buffers = setup.includes('ignored')

      if (!buffers) {
        const client = await open(t, nginx.port, '/topics')
        for (let n = 0; n < 5; n++) {
          const start = performance.now()
          await chaos.app.sse.publish('others', `prompt ${n}`)
          await client.until(`data: prompt ${n}\n\n`)
          const took = performance.now() - start
          t.ok(took < 1_000, `an event arrives in ${Math.round(took)} ms`)
        }
        client.disconnect()
      }

      for (const resets of [true, false]) {
        const sockets = await clients(t, nginx.port)
        await until('all streams to be open', () => chaos.otherStreams === KINDS.length)
        if (!buffers) await until('events on all streams', () => sockets.every(({ text }) => /data: /.test(text)))
        for (const socket of sockets) {
          if (resets) socket.resetAndDestroy()
          else socket.destroy()
        }
        await chaos.check(t, 'clients left')
      }

      const held = await Promise.all(GETS.map(async (kind) => {
        const socket = await connectSocket(t, nginx.port)
        socket.write(requestFor(kind, { 'x-hold': 'preHandler' }))
        return socket
      }))
      await until('all requests to wait', () => chaos.gate.waiting === GETS.length)
      for (const socket of held) socket.resetAndDestroy()
      await until('nginx to disconnect, too', () => chaos.sockets.size === 1)
      chaos.gate.open()
      await chaos.check(t, 'clients left before they were answered')

      const stay = await clients(t, nginx.port)
      await until('all streams to be open', () => chaos.otherStreams === KINDS.length)
      await nginx.reload()
      const late = await clients(t, nginx.port)
      await until('the streams of the new worker', () => chaos.otherStreams === 2 * KINDS.length)
      if (!buffers) {
        for (const socket of stay) socket.text = ''
        await until('events on the streams of the old worker', () => stay.every(({ text }) => /data: /.test(text)))
      }
      await nginx.killWorker()
      await until('the clients to notice', () => [...stay, ...late].every(({ destroyed, readableEnded }) => destroyed || readableEnded))
      await chaos.check(t, 'both workers were killed')

      const last = await clients(t, nginx.port)
      await until('all streams to be open', () => chaos.otherStreams === KINDS.length)
      await nginx.stop()
      await until('the clients to notice', () => last.every(({ destroyed, readableEnded }) => destroyed || readableEnded))
      await chaos.check(t, 'nginx was ended')
    })
  }

  t.test('an app continues after all faults of nginx and its clients, and closes at once', (t) => chaos.end(t))
})
