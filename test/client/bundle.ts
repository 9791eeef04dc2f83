import { fileURLToPath } from 'node:url'
import { build, type BuildOptions } from 'esbuild'

/** Bundles the client into one script. */
export async function bundle (options: BuildOptions): Promise<string> {
  const { outputFiles } = await build({ entryPoints: [fileURLToPath(new URL('../../lib/client/index.ts', import.meta.url))], bundle: true, write: false, ...options })
  return outputFiles?.[0]?.text ?? ''
}
