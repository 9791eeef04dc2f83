import { join } from 'node:path'
import type { Test } from 'tap'
import { freePort } from './free-port.js'
import { startProgram, testsWith, writeConfiguration } from './program.js'

/** Declares a test with Varnish, skipped if it is not installed. */
export const testVarnish = testsWith({ command: 'varnishd', check: ['-V'], package: 'varnish' })

/**
 * Starts Varnish in front of an app's port.
 * @param code a VCL with the port 3000 of the app
 * @param parameters parameters of varnishd
 * @returns the port of Varnish
 */
export async function startVarnish (t: Test, appPort: number, code: string, parameters: Record<string, string> = {}): Promise<number> {
  const port = await freePort()
  const { folder, file } = await writeConfiguration(t, 'default.vcl', () => code.replace('"3000"', `"${appPort}"`))
  const options = Object.entries(parameters).flatMap(([name, value]) => ['-p', `${name}=${value}`])
  // without a jail, Varnish runs as the user of the test
  await startProgram(t, 'varnishd', ['-j', 'none', '-F', '-n', join(folder, 'work'), '-a', `127.0.0.1:${port}`, '-s', 'malloc,16m', '-f', file, ...options], port)
  return port
}
