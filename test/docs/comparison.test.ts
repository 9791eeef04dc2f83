import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { pageOf, root } from './document.js'

const page = pageOf('docs/comparison.md')

/** The cells of all tables of a section, without the lines that separate heads from rows. */
const linesOf = (section: string) => page.sectionOf(section).split('\n').filter((line) => line.startsWith('| ')).map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim()))

test('each table of other libraries has the versions that the benches compare', (t) => {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'bench/package.json'), 'utf8'))
  const libraries = Object.entries(dependencies).filter(([name]) => page.text.includes(`| ${name} `)).map(([name, version]) => `${name} ${version}`)
  t.equal(libraries.length, 3)
  const heads = linesOf('With other libraries for Node').filter(([first]) => first === '')
  t.equal(heads.length, 6)
  for (const [, own, ...others] of heads) t.strictSame([own, ...others], ['fastify-sse-routes', ...libraries])
  t.end()
})

test('each row has a cell for each library', (t) => {
  for (const [section, cells, rows] of [['With other libraries for Node', 5, 34], ['With WebFram', 4, 13]] as const) {
    for (const line of linesOf(section)) t.equal(line.length, cells, line.join(' | '))
    t.equal(linesOf(section).filter(([first]) => first !== '').length, rows)
  }
  t.end()
})

test('each compared library has a test of its name that holds this plugin to its faults', (t) => {
  const tests = readFileSync(join(root, 'test/integration/peers.test.ts'), 'utf8')
  for (const name of ['@fastify/sse', 'better-sse', 'fastify-sse-v2', 'WebFram and GoFrame']) t.ok(tests.includes(`test('${name}'`), name)
  t.ok(page.sectionOf('How this was tried').includes('peers.test.ts'))
  t.end()
})
