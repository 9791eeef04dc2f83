import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import type { Test } from 'tap'

const isLetter = (byte: number) => byte >= 0x61 && byte <= 0x7A

/** Writes each byte in a chunk of its own, and lets it be read before the next, but for those between two letters. */
export async function writeBytes (response: ServerResponse, bytes: Buffer): Promise<void> {
  for (let i = 0; i < bytes.length && !response.destroyed; i++) {
    response.write(bytes.subarray(i, i + 1))
    if (!isLetter(bytes[i]!) || !isLetter(bytes[i + 1] ?? 0)) await setImmediate()
  }
}

async function passOn (answer: IncomingMessage, response: ServerResponse): Promise<void> {
  for await (const bytes of answer) await writeBytes(response, bytes)
  response.end()
}

/** A proxy that passes on each byte of an answer in a chunk of its own; its port. */
export async function byteByByte (t: Test, port: number): Promise<number> {
  const server = createServer(({ url, headers }, response) => {
    const asked = get({ host: '127.0.0.1', port, path: url, headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, { 'content-type': answer.headers['content-type'] ?? '', 'access-control-allow-origin': '*' })
      passOn(answer, response).catch(() => response.destroy())
    })
    asked.on('error', () => response.destroy())
    response.on('close', () => asked.destroy())
  }).listen(0, '127.0.0.1')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
