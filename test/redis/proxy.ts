import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/** What stands between an app and its Redis. */
export interface Proxy {
  url: string
  /** Nothing comes through the connections there are any more, though they stay open; those made later are as ever. With a command: through those that gave it. */
  stall (command?: string): void
  /** The next such command does not come through, nor what follows it. */
  holdBack (command: string): void
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
  const connections = new Set<{ near: Socket, far: Socket, said: string }>()
  let refusing = false
  let refused = 0
  let heldBack: string | null = null
  const server = createServer((near) => {
    if (refusing) {
      refused++
      near.on('error', () => {}).destroy()
      return
    }
    const far = connect({ host: '127.0.0.1', port })
    const connection = { near, far, said: '' }
    connections.add(connection)
    near.on('data', (data) => {
      connection.said += data.toString()
      if (heldBack === null || !data.includes(heldBack)) return
      heldBack = null
      far.cork()
    })
    for (const [from, to] of [[near, far], [far, near]] as const) {
      from.on('data', (data) => { to.write(data) }).on('error', () => {}).on('close', () => {
        connections.delete(connection)
        to.destroy()
      })
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const { near } of connections) near.destroy()
    server.close()
  })
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stall (command = '') {
      for (const { near, far, said } of connections) {
        if (!said.includes(command)) continue
        near.pause()
        far.pause()
      }
    },
    holdBack (command) { heldBack = command },
    resume () {
      for (const { near, far } of connections) {
        near.resume()
        far.resume()
        far.uncork()
      }
    },
    refuse () { refusing = true },
    accept () { refusing = false },
    get refused () { return refused }
  }
}
