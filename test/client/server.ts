import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

export type Answer = (response: ServerResponse, request: IncomingMessage) => unknown

/** A request as the server got it. */
export interface Asked {
  url: string
  requests: IncomingMessage[]
  /** The times of the requests, ms. */
  times: number[]
}

/** Starts a server that answers the first request with the first of `answers` and so on, and later requests with the last. */
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

/** Answers with a stream that stays open. */
export const opens = (...parts: Array<string | Uint8Array>): Answer => async (response) => {
  begin(response, ':\n')
  for (const part of parts) await new Promise((resolve) => { response.write(part, resolve) })
}

/** Answers with a stream that ends cleanly. */
export const ends = (text: string): Answer => (response) => { begin(response, text).end() }

/** Answers with a stream that breaks after its text. */
export const breaks = (text: string): Answer => (response) => { begin(response, text).write('', () => { response.destroy() }) }

/** Closes the connection without an answer. */
export const dies: Answer = (response) => { response.destroy() }

/** Answers with a status and a body instead of a stream. */
export const says = (status: number, body = '', headers: Record<string, string> = {}): Answer => (response) => { response.writeHead(status, headers).end(body) }
