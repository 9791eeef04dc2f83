import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A proxy between an app and Redis. */
export interface Proxy {
  url: string
  /** Stops the traffic of the current connections, which stay open; later connections work. With a command: only of connections that sent it. */
  stall (command?: string): void
  /** Stops the traffic of a connection from the next such command on. */
  holdBack (command: string): void
  /** Delivers the traffic that was stopped. */
  resume (): void
  /** Ends later connections at once. */
  refuse (): void
  accept (): void
  /** The number of connections that were ended. */
  readonly refused: number
}

/** Starts a proxy to a port of this machine. */
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
