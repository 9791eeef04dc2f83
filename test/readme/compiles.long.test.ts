import { test } from 'tap'
import { typeErrors } from './compile.js'
import { blocks } from './document.js'

test('all TypeScript of the README compiles, with what must not compile in it', (t) => {
  t.strictSame(typeErrors(blocks.filter(({ language }) => language === 'ts')), [])
  t.end()
})
