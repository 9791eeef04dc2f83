import { test } from 'tap'
import { SSEError } from '../lib/client/index.js'
import * as errors from '../lib/errors.js'
import { CAUSES, CLIENT_CAUSES } from './error-causes.js'

test('each error of the plugin occurs for its documented causes, and its message says what was wrong', async (t) => {
  t.strictSame(Object.keys(CAUSES).sort(), Object.keys(errors).filter((name) => name.startsWith('SSE_ERR_')).sort(), 'each code has its causes')
  for (const [code, [statusCode, message, ...causes]] of Object.entries(CAUSES)) {
    for (const cause of causes) await t.rejects(cause(t), { code, statusCode, message }, code)
  }
})

test('each error of the client occurs for its documented causes, and its message says what was wrong', async (t) => {
  for (const [code, [message, ...causes]] of Object.entries(CLIENT_CAUSES)) {
    for (const cause of causes) {
      const error = await cause(t).then(() => null, (error: unknown) => error)
      t.ok(error instanceof SSEError, code)
      t.match(error, { code, message })
    }
  }
})
