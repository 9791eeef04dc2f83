import { once } from 'node:events'
import { type ClientRequest, get, type IncomingMessage, type RequestOptions } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import sse, { type SSEPluginOptions } from '../../lib/index.js'
import { until } from './until.js'

export { until }

/** Creates an app with the plugin, closed at the end of the test. It waits at most `drain.timeout` for sources that never finish. */
export async function makeApp (t: Test, options: SSEPluginOptions = {}, server: FastifyServerOptions = {}): Promise<FastifyInstance> {
  const app = Fastify(server)
  t.teardown(() => app.close())
  await app.register(sse, { drain: { timeout: 200 }, ...options })
  return app
}

/** Makes an app listen, and returns its port. */
export async function listen (app: FastifyInstance): Promise<number> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  return (app.server.address() as AddressInfo).port
}

/** A client over a real socket that records the text it receives. */
export class Client {
  text = ''
  ended = false
  error: Error | null = null
  readonly request: ClientRequest
  readonly response: IncomingMessage

  constructor (request: ClientRequest, response: IncomingMessage) {
    this.request = request
    this.response = response
    response.setEncoding('utf8')
    response.on('data', (text: string) => { this.text += text })
    response.on('end', () => { this.ended = true })
    response.on('error', (error) => { this.error = error })
  }

  /** Waits until the received text contains `part` so many times, at most `limit` ms. */
  async until (part: string, times = 1, limit?: number): Promise<void> {
    let [found, from] = [0, 0]
    await until(`${times} × ${JSON.stringify(part)} in ${JSON.stringify(this.text.slice(-200))}`, () => {
      for (let at = 0; found < times && (at = this.text.indexOf(part, from)) !== -1; from = at + part.length) found++
      return found === times
    }, limit)
  }

  /** Waits until the response has finished. Returns true if it ended normally, false if it was aborted. */
  async finished (): Promise<boolean> {
    await until('the end of the response', () => this.ended || this.error !== null)
    return this.ended
  }

  /** Stops reading, so that the buffers of the kernel fill. */
  pause (): void {
    this.response.pause()
  }

  resume (): void {
    this.response.resume()
  }

  disconnect (): void {
    this.request.destroy()
  }
}

/** Requests a path of a listening app. */
export async function open (t: Test, port: number, path: string, options: RequestOptions = {}): Promise<Client> {
  const request = get({ host: '127.0.0.1', port, path, agent: false, ...options })
  t.teardown(() => request.destroy())
  const [response] = await once(request, 'response') as [IncomingMessage]
  request.on('error', () => {})
  return new Client(request, response)
}

/** Opens a TCP connection, to write requests byte by byte. */
export async function connectSocket (t: Test, port: number): Promise<Socket & { text: string }> {
  const socket = Object.assign(connect({ host: '127.0.0.1', port }), { text: '' })
  t.teardown(() => socket.destroy())
  socket.on('data', (data) => { socket.text += String(data) })
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}
