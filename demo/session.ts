import { createError } from '@fastify/error'
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'

export const NotSignedIn = createError('NOT_SIGNED_IN', 'Sign in first, by POST /session', 401)

export const UserName = Type.String({ maxLength: 40, pattern: '^\\S+$', examples: ['ada'] })

const signIn = {
  summary: 'Sign in',
  description: 'As whoever you say you are: this is a demonstration, and asks for no password. The name is kept in a signed cookie.',
  tags: ['published events'],
  body: Type.Object({ name: UserName }),
  response: { 200: Type.Object({ name: UserName }, { description: 'Signed in' }) }
}

/** Who sent a request, by its signed cookie; null for somebody who is not signed in. */
export function userOf (request: Pick<FastifyRequest, 'cookies' | 'unsignCookie'>): string | null {
  const { session } = request.cookies
  return session === undefined ? null : request.unsignCookie(session).value
}

const session: FastifyPluginAsyncTypebox = async (app) => {
  app.post('/session', {
    schema: signIn,
    // Other tabs of the browser share the cookie: their streams end, and come back as those of the new user.
    onResponse: async (request, reply) => {
      const before = userOf(request)
      if (reply.statusCode !== 200 || before === null || before === request.body.name) return
      for (const stream of app.sse.streams.values()) if (stream.clientId === before) stream.close()
    }
  }, async ({ body: { name } }, reply) => {
    reply.setCookie('session', name, { signed: true, httpOnly: true, sameSite: 'strict', secure: 'auto', path: '/' })
    return { name }
  })

  app.get('/session', { schema: { hide: true } }, async (request) => ({ name: userOf(request) }))
}

export default session
