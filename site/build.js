// `npm run docs`: builds the site in site/dist. `npm run docs -- --serve` serves it afterwards.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readCode, readSite } from './sources.js'

const folder = fileURLToPath(new URL('.', import.meta.url))
const pages = join(folder, 'pages')
const command = (name, ...args) => execFileSync(join(folder, 'node_modules/.bin', name), args, { cwd: folder, stdio: 'inherit' })

rmSync(pages, { recursive: true, force: true })
for (const [path, content] of readSite()) write(path, content)
write('index.md', readFileSync(join(folder, 'index.md'), 'utf8').replace('<!-- code of README.md -->', () => readCode('A route in ten lines')))
// the reference of all exported names, from their doc comments
command('typedoc', '--options', join(folder, 'typedoc.json'))
command('vitepress', 'build', '.')
if (process.argv.includes('--serve')) command('vitepress', 'serve', '.')

function write (path, content) {
  const file = join(pages, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
}
