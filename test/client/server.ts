import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

export type Answer = (response: ServerResponse, request: IncomingMessage) => unknown

/** What a server was asked. */
export interface Asked {
  url: string
  requests: IncomingMessage[]
  /** When each request came, ms. */
  times: number[]
}

/** A server that answers its first request by the first of `answers`, and so on; all that come later by the last. */
export async function serve (t: Test, ...answers: Answer[]): Promise<Asked> {
  const asked: Asked = { url: '', requests: [], times: [] }
  const server = createServer((request, response) => {
    const answer = answers[asked.requests.length] ?? answers.at(-1)
    asked.requests.push(request)
    asked.times.push(performance.now())
    answer?.(response, request)
  }).listen(0, '127.0.0.1')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  await once(server, 'listening')
  asked.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  return asked
}

function begin (response: ServerResponse, bytes: string | Uint8Array): ServerResponse {
  response.writeHead(200, { 'content-type': 'text/event-stream' }).write(bytes)
  return response
}

/** A stream that stays open. */
export const opens = (...parts: Array<string | Uint8Array>): Answer => async (response) => {
  begin(response, ':\n')
  for (const part of parts) await new Promise((resolve) => { response.write(part, resolve) })
}

/** A stream that ends as it should. */
export const ends = (text: string): Answer => (response) => { begin(response, text).end() }

/** A stream that is broken off after its text. */
export const breaks = (text: string): Answer => (response) => { begin(response, text).write('', () => { response.destroy() }) }

/** No answer at all. */
export const dies: Answer = (response) => { response.destroy() }

/** An answer without events. */
export const says = (status: number, body = '', headers: Record<string, string> = {}): Answer => (response) => { response.writeHead(status, headers).end(body) }
