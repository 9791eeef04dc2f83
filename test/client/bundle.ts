import { fileURLToPath } from 'node:url'
import { brotliCompressSync } from 'node:zlib'
import { build, type BuildOptions } from 'esbuild'

const entryPoints = [fileURLToPath(new URL('../../lib/client/index.ts', import.meta.url))]

/** Bundles the client into one script. */
export async function bundle (options: BuildOptions): Promise<string> {
  const { outputFiles } = await build({ entryPoints, bundle: true, write: false, ...options })
  return outputFiles?.[0]?.text ?? ''
}

/** Returns the sizes of the chunks of a minified bundle without the parser (event-parser.ts and eventsource-parser), by Brotli, in bytes. The client comes first. */
export async function chunkSizes (): Promise<number[]> {
  const { outputFiles } = await build({ entryPoints, bundle: true, write: false, splitting: true, outdir: '/', format: 'esm', minify: true, external: ['./event-parser.js'] })
  return outputFiles.map(({ contents }) => brotliCompressSync(contents).length)
}
