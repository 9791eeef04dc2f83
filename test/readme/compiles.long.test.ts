import { test } from 'tap'
import { typeErrors } from './compile.js'
import { blocks } from './document.js'

test('all TypeScript of the README compiles, and its @ts-expect-error lines do not', (t) => {
  t.strictSame(typeErrors(blocks.filter(({ language }) => language === 'ts')), [])
  t.end()
})
