import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/** What stands between an app and its Redis. */
export interface Proxy {
  url: string
  /** Nothing comes through the connections there are any more, though they stay open; those made later are as ever. */
  stall (): void
  /** What was held back comes. */
  resume (): void
  /** Those made from now on are ended at once. */
  refuse (): void
  accept (): void
  /** How many were. */
  readonly refused: number
}

/** Passes connections on to a port of this machine. */
export async function openProxy (t: Test, port: number): Promise<Proxy> {
  const sockets = new Set<Socket>()
  let refusing = false
  let refused = 0
  const server = createServer((near) => {
    if (refusing) {
      refused++
      near.on('error', () => {}).destroy()
      return
    }
    const far = connect({ host: '127.0.0.1', port })
    for (const [from, to] of [[near, far], [far, near]] as const) {
      sockets.add(from)
      from.on('data', (data) => { to.write(data) }).on('error', () => {}).on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stall () { for (const socket of sockets) socket.pause() },
    resume () { for (const socket of sockets) socket.resume() },
    refuse () { refusing = true },
    accept () { refusing = false },
    get refused () { return refused }
  }
}
