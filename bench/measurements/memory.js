import { Child } from '../child.js'
import { contenders, plan, quick } from '../contenders.js'
import { interleave } from '../rounds.js'
import { print } from '../table.js'

const STREAMS = quick ? 500 : 2_000
/** Number of streams opened before the first measurement, so that one-time costs are not counted. */
const WARM_UP = 200

/** Measures heap and RSS per idle stream, in a new process each time and therefore without warm-up. */
export async function run () {
  const all = contenders('/feed', [['/topic', 'topics'], ['/every-hook', 'topics, every hook'], ['/interval', 'own payload'], ['/shared', 'shared interval'], ['/feed', 'reply.sse()']])
  const results = await interleave(all, { ...plan(3, 60), warmUp: false }, async ({ candidate, path, build }) => {
    const server = new Child('server.js', [candidate, build], ['--expose-gc'])
    const load = new Child('load.js')
    const port = await server.ask('port')
    await load.ask('open', { port, path, count: WARM_UP })
    const before = await server.ask('memory')
    await load.ask('open', { port, path, count: STREAMS })
    const after = await server.ask('memory')
    server.stop()
    load.stop()
    return { heap: (after.heapUsed - before.heapUsed) / STREAMS / 1024, rss: (after.rss - before.rss) / STREAMS / 1024 }
  })
  print(`Memory, ${STREAMS} open streams`, { heap: 'KB of heap per stream', rss: 'KB of RSS per stream' }, results)
}
