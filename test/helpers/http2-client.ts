import { once } from 'node:events'
import { type ClientHttp2Stream, connect, constants } from 'node:http2'
import type { Test } from 'tap'
import { until } from './until.js'
import { cert } from './certificate.js'

/** A stream over HTTP/2 that records the text it receives. */
export type HTTP2Stream = ClientHttp2Stream & { text: string }

/** Requests a path of a server with HTTP/2 on a connection that is closed with the test. */
export async function openHTTP2 (t: Test, url: string, path: string, headers: Record<string, string> = {}): Promise<HTTP2Stream> {
  const session = connect(url, { ca: cert })
  t.teardown(() => session.destroy())
  await once(session, 'connect')
  session.on('error', () => {})
  const stream = Object.assign(session.request({ ':path': path, ...headers }), { text: '' })
  stream.setEncoding('utf8').on('data', (text: string) => { stream.text += text })
  stream.on('error', () => {})
  await once(stream, 'response')
  return stream
}

/** Waits until the server has closed a stream. Returns true if it ended normally, false if it was reset. */
export async function closeHTTP2 (stream: HTTP2Stream): Promise<boolean> {
  await until('the end of the stream', () => stream.closed)
  return stream.rstCode === constants.NGHTTP2_NO_ERROR
}
