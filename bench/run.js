import { only, quick } from './contenders.js'
import { machine } from './machine.js'

const MEASUREMENTS = ['fan-out', 'many', 'http2', 'flush-interval', 'scale', 'javascript', 'interval', 'lateness', 'source', 'memory', 'heartbeat', 'connect', 'replay', 'storm', 'encode', 'processes', 'redis']

const start = Date.now()
console.log(machine())
if (quick) console.log('Few rounds (--quick): for a look, not for a figure.')

for (const name of only ?? MEASUREMENTS) {
  const { run } = await import(`./measurements/${name}.js`)
  await run()
}
console.log(`\n${Math.round((Date.now() - start) / 1000)} s`)
