import { Child } from './child.js'
import { only, quick } from './contenders.js'
import { machine } from './machine.js'

const MEASUREMENTS = ['fan-out', 'interval', 'source', 'memory', 'connect', 'encode']

const start = Date.now()
console.log(machine())
if (quick) console.log('Few rounds (--quick): for a look, not for a figure.')

const load = new Child('load.js')
for (const name of only ?? MEASUREMENTS) {
  const { run } = await import(`./measurements/${name}.js`)
  await run(load)
}
load.stop()
console.log(`\n${Math.round((Date.now() - start) / 1000)} s`)
