import type { Test } from 'tap'
import { freePort } from './free-port.js'
import { startProgram, testsWith, writeConfiguration } from './program.js'

/** Declares a test with Caddy, skipped if it is not installed. */
export const testCaddy = testsWith({ command: 'caddy', check: ['version'], package: 'caddy' })

/**
 * Starts Caddy in front of an app's port.
 * @param code a Caddyfile with the ports 3000 of the app and 8080 of Caddy
 * @returns the port of Caddy
 */
export async function startCaddy (t: Test, appPort: number, code: string, scheme: 'http' | 'https' = 'http'): Promise<number> {
  const port = await freePort()
  const { folder, file } = await writeConfiguration(t, 'Caddyfile', () => `{\n  admin off\n  default_bind 127.0.0.1\n}\n${code.replace('127.0.0.1:3000', `127.0.0.1:${appPort}`).replace(':8080', `${scheme}://:${port}`)}`)
  await startProgram(t, 'caddy', ['run', '--config', file, '--adapter', 'caddyfile'], port, { HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder })
  return port
}
