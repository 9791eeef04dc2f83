import type { Test } from 'tap'
import { freePort } from './free-port.js'
import { startProgram, testsWith, writeConfiguration } from './program.js'

/** Declares a test with HAProxy, skipped if it is not installed. */
export const testHAProxy = testsWith({ command: 'haproxy', check: ['-v'], package: 'haproxy' })

/**
 * Starts HAProxy in front of an app's port.
 * @param code a configuration with the ports 3000 of the app and 8080 of HAProxy
 * @returns the port of HAProxy
 */
export async function startHAProxy (t: Test, appPort: number, code: string): Promise<number> {
  const port = await freePort()
  const { file } = await writeConfiguration(t, 'haproxy.cfg', () => code.replace('127.0.0.1:3000', `127.0.0.1:${appPort}`).replace(':8080', `127.0.0.1:${port}`))
  await startProgram(t, 'haproxy', ['-db', '-f', file], port)
  return port
}
