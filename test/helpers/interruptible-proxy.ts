import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A TCP proxy to a server. While it is interrupted, its connections are reset and new ones are refused. */
export interface InterruptibleProxy {
  url: string
  interrupt (): void
  restore (): Promise<void>
}

/** Starts a proxy to the server at `url`. */
export async function startInterruptibleProxy (t: Test, url: string): Promise<InterruptibleProxy> {
  const { port, hostname: host } = new URL(url)
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect({ host, port: Number(port) })
    for (const [from, to] of [[near, far], [far, near]] as const) {
      sockets.add(from)
      from.on('error', () => {}).on('close', () => {
        sockets.delete(from)
        to.destroy()
      }).pipe(to)
    }
  })
  const listen = async (port: number) => {
    await once(server.listen(port, '127.0.0.1'), 'listening')
    return (server.address() as AddressInfo).port
  }
  const interrupt = () => {
    server.close()
    for (const socket of sockets) socket.resetAndDestroy()
  }
  t.teardown(interrupt)
  const own = await listen(0)
  return { url: `http://127.0.0.1:${own}`, interrupt, restore: async () => { await listen(own) } }
}
