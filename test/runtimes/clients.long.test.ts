import t, { type Test } from 'tap'
import { listen, makeApp, until } from '../helpers/app.js'
import { build, findNodes, findRuntimes, findWorkerd, type Program, runProgram } from './runtimes.js'
import { runWorker } from './workerd.js'

const plugin = await build()

const runtimes: Record<string, (t: Test, server: string) => Program | Promise<Program>> = {}
for (const [name, runtime] of Object.entries({ ...await findRuntimes(), ...await findNodes() })) {
  runtimes[name] = (t, server) => runProgram(t, runtime, 'client.js', { PLUGIN: plugin, SERVER: server })
}
const workerd = await findWorkerd()
runtimes.workerd = (t, server) => runWorker(t, workerd, server)

for (const [name, start] of Object.entries(runtimes)) {
  t.test(name, async (t) => {
    const app = await makeApp(t, {}, { forceCloseConnections: true })
    app.sseRoute('/topics', { topics: ['a'] })
    app.sseRoute('/refused', { topics: () => { throw Object.assign(new Error('no'), { statusCode: 418 }) } })
    app.sseRoute({ method: 'POST', url: '/posted', source: ({ body }) => [{ event: 'echo', data: body }] })
    const program = await start(t, `http://127.0.0.1:${await listen(app)}`)

    await until('the stream', () => app.sse.streams.size === 1, 30_000)
    const ids = [await app.sse.publish('a', 'one')]
    await until('an event', () => program.text.includes('one'))
    for (const { request } of app.sse.streams.values()) request.raw.destroy()
    await until('the client to have left', () => app.sse.streams.size === 0)
    ids.push(await app.sse.publish('a', 'two'))
    await until('what it missed', () => program.text.includes('two'))
    ids.push(await app.sse.publish('a', 'three'))
    t.strictSame(await program.ended, [0, null], 'nothing keeps the process once the loop is left')
    t.strictSame(program.text.trim().split('\n').map((line) => JSON.parse(line)), [
      ['refused', 'SSE_ERR_NO_STREAM', 418],
      ['echo', { n: 1 }],
      ['open', 1],
      [ids[0], 'one'],
      ['retry', 'SSE_ERR_CONNECTION'],
      ['open', 2],
      [ids[1], 'two'],
      [ids[2], 'three'],
      ['left']
    ])
    await until('the server to notice', () => app.sse.streams.size === 0)
  })
}
