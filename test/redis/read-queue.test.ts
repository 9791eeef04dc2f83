import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'tap'
import { NoAnswer } from '../../lib/redis/connection.js'
import { type Read, ReadQueue } from '../../lib/redis/read-queue.js'

/** Reads that settle when the test says so. */
class Reads {
  readonly started: string[] = []
  readonly #settle = new Map<string, (error: Error | null) => void>()

  read (key: string, isKept = false): Read<string> {
    const run = () => {
      this.started.push(key)
      return new Promise<string>((resolve, reject) => { this.#settle.set(key, (error) => error === null ? resolve(`result ${key}`) : reject(error)) })
    }
    return { key, run, isKept: () => isKept }
  }

  async settle (key: string, error: Error | null = null): Promise<void> {
    this.#settle.get(key)?.(error)
    await turn()
  }
}

test('four reads run at once, the others in their order', async (t) => {
  const [queue, reads] = [new ReadQueue<string>(), new Reads()]
  const results = ['a', 'b', 'c', 'd', 'e', 'f'].map((key) => queue.run(reads.read(key), undefined))
  t.same(reads.started, ['a', 'b', 'c', 'd'])
  await reads.settle('b')
  t.same(reads.started, ['a', 'b', 'c', 'd', 'e'])
  for (const key of ['a', 'c', 'd', 'e', 'f']) await reads.settle(key)
  t.same(await Promise.all(results), ['a', 'b', 'c', 'd', 'e', 'f'].map((key) => `result ${key}`))
})

test('identical reads share one result, also shortly afterwards if it may be kept', async (t) => {
  const [queue, reads] = [new ReadQueue<string>(), new Reads()]
  const same = [1, 2, 3].map(() => queue.run(reads.read('a'), undefined))
  t.same(reads.started, ['a'])
  await reads.settle('a')
  t.same(await Promise.all(same), ['result a', 'result a', 'result a'])
  const again = queue.run(reads.read('a', true), undefined)
  t.same(reads.started, ['a', 'a'])
  await reads.settle('a')
  await again
  t.equal(await queue.run(reads.read('a'), undefined), 'result a')
  t.same(reads.started, ['a', 'a'], 'it was kept')
  for (let i = 0; i < 20; i++) {
    const result = queue.run(reads.read(String(i), true), undefined)
    await reads.settle(String(i))
    await result
  }
  queue.run(reads.read('a'), undefined)
  t.same(reads.started.at(-1), 'a', 'only the newest results are kept')
})

test('a read is dropped if all streams that wait for it have closed', async (t) => {
  const [queue, reads] = [new ReadQueue<string>(), new Reads()]
  for (const key of ['a', 'b', 'c', 'd']) queue.run(reads.read(key), undefined)
  let closed = false
  const [dropped, shared] = [[queue.run(reads.read('x'), () => closed)], [queue.run(reads.read('y'), () => closed), queue.run(reads.read('y'), undefined)]]
  closed = true
  await reads.settle('a')
  t.same(await Promise.all(dropped), [null])
  t.same(reads.started, ['a', 'b', 'c', 'd', 'y'])
  await reads.settle('y')
  t.same(await Promise.all(shared), ['result y', 'result y'])
})

test('a read that fails rejects, and without an answer of Redis the waiting reads reject too', async (t) => {
  const [queue, reads] = [new ReadQueue<string>(), new Reads()]
  const results = ['a', 'b', 'c', 'd', 'e', 'f'].map((key) => queue.run(reads.read(key), undefined).then(() => 'read', ({ message }) => message))
  await reads.settle('a', new Error('refused'))
  t.equal(await results[0], 'refused')
  t.same(reads.started, ['a', 'b', 'c', 'd', 'e'])
  await reads.settle('b', new NoAnswer(500, null))
  t.same([await results[1], await results[5]], ['no answer within 500 ms', 'no answer within 500 ms'])
  for (const key of ['c', 'd', 'e']) await reads.settle(key)
  t.same(await Promise.all(results.slice(2, 5)), ['read', 'read', 'read'])
  const last = queue.run(reads.read('g'), undefined)
  await reads.settle('g')
  t.equal(await last, 'result g')
})
