import { test } from 'tap'
import { typeErrors } from './compile.js'
import { isRecipe, pages } from './document.js'

// the code of recipes is a part of examples, which npm run typecheck compiles
test('all TypeScript of README.md and docs compiles, and its @ts-expect-error lines do not', (t) => {
  t.strictSame(typeErrors(pages.filter((page) => !isRecipe(page)).flatMap(({ blocks }) => blocks).filter(({ language }) => language === 'ts')), [])
  t.end()
})
