import t from 'tap'
import { startExample, take } from './program.js'

t.test('an example runs by `npx tsx`, which finds the sources of the package by tsconfig.json', async (t) => {
  const url = await startExample(t, 'hello', {}, ['npx', 'tsx']).url()
  t.equal((await take(await fetch(`${url}/time`), 1)).length, 1)
})
