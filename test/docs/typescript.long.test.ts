import { test } from 'tap'
import { typeErrors } from './compile.js'
import { pageOf } from './document.js'

const page = pageOf('docs/typescript.md')
const first = pageOf('README.md').blocks.find(({ language, section }) => language === 'ts' && section === 'A route in ten lines')

/** Changes of the examples, by heading: with each change the examples do not compile. */
const mistakes: Array<[heading: string, from: string, to: string]> = [
  ['Type the request', 'params.symbol', 'params.name'],
  ['Check events at compile time', '// @ts-expect-error the price is not a number\n', '\n'],
  ['Check events at compile time', '// @ts-expect-error there is no event "opened"\n', '\n'],
  ['Check data without event names', '{ n: 2 }', '{ n: \'2\' }'],
  ['Send a string without an object', 'message: Type.String()', 'message: Type.Number()'],
  ['Use another schema library', 'celsius: 21', 'celsius: \'21\''],
  ['Work without a type provider', 'event: \'tick\', data', 'event: \'other\', data'],
  ['Give the types of the request by hand', 'params.id }', 'params.name }'],
  ['Write callbacks outside of the route', 'data: { done }', 'data: { done: String(done) }'],
  ['Write callbacks outside of the route', ': JobPayload {', ' {'],
  ['Share events with a client', 'text: [\'halted\'], ', ''],
  ['Share events with a client', 'event.data.price', 'event.data.cost'],
  ['Use the types with EventSource', 'quote.price', 'quote.cost']
]

test('each mistake in an example is an error of the compiler', (t) => {
  if (first === undefined) throw new Error('README.md has no route in ten lines')
  const examples = page.blocks.filter(({ language }) => language === 'ts')
  t.strictSame(typeErrors([first, ...examples]), [])
  for (const [heading, from, to] of mistakes) {
    const blocks = examples.filter(({ section }) => section === heading)
    t.ok(blocks.some(({ code }) => code.includes(from)), `${heading}: ${from}`)
    t.not(typeErrors([first, ...blocks.map((block) => ({ ...block, code: block.code.replace(from, to) }))]).length, 0, `${heading}: ${to}`)
  }
  t.end()
})
