import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'
import type { Random } from '../integration/random.js'

/** What cuts connections. */
interface Cutter {
  port: number
  cuts: number
  /** How many it makes. */
  most: number
}

/** Passes connections on, and cuts them, one way or another, each after so many bytes of what it is answered. */
export async function cut (t: Test, port: number, random: Random): Promise<Cutter> {
  const cutter: Cutter = { port: 0, cuts: 0, most: 0 }
  const clients = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect({ host: '127.0.0.1', port })
    let left = cutter.cuts < cutter.most ? 1 + random(1_500) : Infinity
    clients.add(near)
    near.on('error', () => {}).on('close', () => far.destroy()).pipe(far)
    far.on('error', () => {}).on('close', () => near.destroy()).on('data', (data) => {
      if (left === 0) return
      near.write(data.subarray(0, left))
      left = Math.max(0, left - data.length)
      if (left > 0) return
      cutter.cuts++
      if (random(2) === 0) near.end()
      else setImmediate(() => near.resetAndDestroy())
    })
  }).listen(0, '127.0.0.1')
  t.teardown(() => {
    // fetch connects once more when it is left
    for (const client of clients) client.destroy()
    server.close()
  })
  await once(server, 'listening')
  cutter.port = (server.address() as AddressInfo).port
  return cutter
}
