import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { KINDS } from './app.js'

/** Body of the requests to `/post`. */
export const BODY = '{"prompt":"why"}'

/** Points at which a request can be held, and the routes that have them. */
export const HOLDS = [['preHandler', KINDS], ['onSend', KINDS], ['onConnect', KINDS.filter((kind) => kind !== '/reply')], ['topics', ['/topics']], ['source', ['/first']]] as const

/** Returns the bytes of a request. */
export function requestFor (path: string, headers: Record<string, string> = {}): string {
  const post = path === '/post'
  const all = { host: 'x', ...(post ? { 'content-type': 'application/json', 'content-length': String(BODY.length) } : {}), ...headers }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return `${post ? 'POST' : 'GET'} ${path} HTTP/1.1\r\n${lines}\r\n${post ? BODY : ''}`
}

/** Connects the witness of an app over HTTP/1.1. */
export async function readWitness (port: number, path: string): Promise<IncomingMessage> {
  const [response] = await once(get({ host: '127.0.0.1', port, path, agent: false }), 'response') as [IncomingMessage]
  return response
}
