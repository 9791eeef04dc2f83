import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import * as modules from 'node:module'
import { fileURLToPath } from 'node:url'
import { isMainThread } from 'node:worker_threads'

const root = new URL('../', import.meta.url)
const cache = new URL('node_modules/.cache/typescript/', root)
const { paths, experimentalDecorators } = JSON.parse(readFileSync(new URL('tsconfig.json', root), 'utf8')).compilerOptions
const tsconfigRaw = { compilerOptions: { experimentalDecorators } }

/** Resolves this package's name to lib as tsconfig.json does, and `./x.js` to `./x.ts` where that is a file. */
export function resolve (specifier, context, nextResolve) {
  if (specifier in paths) return nextResolve(new URL(paths[specifier][0], root).href, context)
  if (/^(\.|file:).*\.js$/.test(specifier) && !context.parentURL?.includes('/node_modules/')) {
    const source = new URL(specifier.replace(/js$/, 'ts'), context.parentURL)
    if (existsSync(source)) return nextResolve(source.href, context)
  }
  return nextResolve(specifier, context)
}

/** Loads TypeScript as esbuild transforms it, with source maps. */
export function load (url, context, nextLoad) {
  if (!url.endsWith('.ts') || url.includes('/node_modules/')) return nextLoad(url, context)
  return { format: 'module', source: transform(fileURLToPath(url)), shortCircuit: true }
}

/** Transforms a file, once per content: esbuild itself takes longer to start than most tests to load. */
function transform (file) {
  const code = readFileSync(file, 'utf8')
  const kept = new URL(`${createHash('sha1').update(file).update(code).digest('hex')}.js`, cache)
  if (existsSync(kept)) return readFileSync(kept, 'utf8')
  const esbuild = modules.createRequire(import.meta.url)('esbuild')
  const result = esbuild.transformSync(code, { loader: 'ts', format: 'esm', target: 'es2022', sourcefile: file, sourcemap: 'inline', sourcesContent: false, tsconfigRaw })
  mkdirSync(cache, { recursive: true })
  const written = new URL(`${process.pid}.js`, cache)
  writeFileSync(written, result.code)
  renameSync(written, kept)
  return result.code
}

if (isMainThread) {
  process.setSourceMapsEnabled(true)
  // module.register starts a thread, and is deprecated since Node 25.9; registerHooks is unreliable before Node 24.13
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 24 || (major === 24 && minor >= 13)) modules.registerHooks({ resolve, load })
  else modules.register(import.meta.url)
}
