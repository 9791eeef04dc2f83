import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { test } from 'tap'
import { pageOf, root } from './document.js'
import { tenLines, toJavaScript } from './run.js'

const page = pageOf('docs/testing.md')

test('a test with fake timers of vitest reads the next price', async (t) => {
  const [code] = page.codeOf('With vitest', 'js')
  const folder = t.testdir({
    'package.json': '{ "type": "module" }',
    'vitest.config.js': 'export default { test: { include: ["prices.js"] } }',
    'prices.js': toJavaScript(code),
    'app.js': toJavaScript(`${tenLines({ after: 'await app.ready()' })}\nexport const buildApp = async () => app`),
    node_modules: { vitest: t.fixture('symlink', join(root, 'test/node_modules/vitest')) }
  })
  // the variables that tap sets for its processes are not for those of vitest
  const env = { ...process.env, NODE_OPTIONS: '', _TAPJS_PROCESSINFO_COVERAGE_: '0' }
  const { stdout } = await promisify(execFile)(process.execPath, [join(root, 'test/node_modules/vitest/vitest.mjs'), 'run', '--root', folder, '--reporter=json'], { env, timeout: 120_000 })
    .catch((error: { stdout: string }) => error)
  const { numPassedTests, numTotalTests, testResults } = JSON.parse(stdout.slice(stdout.indexOf('{')))
  t.strictSame([numPassedTests, numTotalTests], [1, 1], JSON.stringify(testResults))
})
