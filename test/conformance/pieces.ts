import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import type { Test } from 'tap'

/** Writes bytes in chunks of a size. Waits after each, so that it is read before the next. */
export async function writePieces (response: ServerResponse, bytes: Buffer, size: number): Promise<void> {
  for (let i = 0; i < bytes.length && !response.destroyed; i += size) {
    response.write(bytes.subarray(i, i + size))
    await setImmediate()
  }
}

async function passOn (answer: IncomingMessage, response: ServerResponse): Promise<void> {
  for await (const bytes of answer) await writePieces(response, bytes, 3)
  response.end()
}

/** Starts a proxy that passes on responses three bytes at a time, so that each longer character is cut. Returns its port. */
export async function cutInPieces (t: Test, port: number): Promise<number> {
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
