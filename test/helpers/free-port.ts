import { once } from 'node:events'
import { createServer } from 'node:net'

const FIRST = 10_000
const LAST = 32_767
const returned = new Set<number>()

/**
 * Returns a port on which no server listens, and which was not returned before.
 * Port 0 would give one of the ports that outgoing connections use (from 32768 on Linux):
 * one of them could take the port before the server of the test listens, or while it restarts.
 */
export async function freePort (): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST + 1))
    if (returned.has(port) || !await isFree(port)) continue
    returned.add(port)
    return port
  }
}

async function isFree (port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
    await once(server.close(), 'close')
    return true
  } catch {
    return false
  }
}
