import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'
import type { Random } from '../integration/random.js'

/** A proxy that disconnects its clients. */
interface FlakyProxy {
  port: number
  disconnects: number
  /** Number of disconnects after which it stops disconnecting. */
  maxDisconnects: number
}

/** Starts a TCP proxy that ends or resets each connection after a random number of response bytes. */
export async function startFlakyProxy (t: Test, port: number, random: Random): Promise<FlakyProxy> {
  const proxy: FlakyProxy = { port: 0, disconnects: 0, maxDisconnects: 0 }
  const clients = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect({ host: '127.0.0.1', port })
    let left = proxy.disconnects < proxy.maxDisconnects ? 1 + random(1_500) : Infinity
    clients.add(near)
    near.on('error', () => {}).on('close', () => far.destroy()).pipe(far)
    far.on('error', () => {}).on('close', () => near.destroy()).on('data', (data) => {
      if (left === 0) return
      near.write(data.subarray(0, left))
      left = Math.max(0, left - data.length)
      if (left > 0) return
      proxy.disconnects++
      if (random(2) === 0) near.end()
      else setImmediate(() => near.resetAndDestroy())
    })
  }).listen(0, '127.0.0.1')
  t.teardown(() => {
    // fetch connects once more when its connection is aborted
    for (const client of clients) client.destroy()
    server.close()
  })
  await once(server, 'listening')
  proxy.port = (server.address() as AddressInfo).port
  return proxy
}
