import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { test } from 'tap'

test('fake timers of vitest drive streams', async (t) => {
  const root = fileURLToPath(new URL('.', import.meta.url))
  const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url))
  // what tap gives its processes is not for those of vitest
  const env = { ...process.env, NODE_OPTIONS: '', _TAPJS_PROCESSINFO_COVERAGE_: '0' }
  const { stdout } = await promisify(execFile)(process.execPath, [vitest, 'run', '--root', root, '--reporter=json'], { env, timeout: 120_000 })
    .catch((error: { stdout: string }) => error)
  const { testResults } = JSON.parse(stdout.slice(stdout.indexOf('{'))) as { testResults: Array<{ message: string, assertionResults: Array<{ title: string, status: string, failureMessages: string[] }> }> }
  const results = testResults.flatMap(({ assertionResults }) => assertionResults)
  for (const { title, status, failureMessages } of results) t.equal(status, 'passed', `${title} ${failureMessages.join()}`)
  t.equal(results.length, 5, testResults.map(({ message }) => message).join())
})
