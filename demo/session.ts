import { createError } from '@fastify/error'
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { errorSchema } from './data/schemas.js'
import type { SignOuts } from './data/sign-outs.js'

export const NotSignedIn = createError('NOT_SIGNED_IN', 'Sign in first, by POST /session', 401)

export const UserName = Type.String({ maxLength: 40, pattern: '^\\S+$', examples: ['ada'] })

const signIn = {
  summary: 'Sign in',
  description: 'As whoever you say you are: this is a demonstration, and asks for no password. The name and the time are kept in a signed cookie.',
  tags: ['published events'],
  body: Type.Object({ name: UserName }),
  response: { 200: Type.Object({ name: UserName }, { description: 'Signed in' }) }
}

const signOut = {
  summary: 'Sign out everywhere',
  description: 'Ends all sessions of the user, then closes the user’s streams in all processes.',
  tags: ['published events'],
  security: [{ session: [] }],
  response: { 204: Type.Null({ description: 'Signed out' }), 401: errorSchema('Not signed in') }
}

/** Returns the user whose session sent a request, by its signed cookie; null without a session, and after its end. */
export async function userOf (request: Pick<FastifyRequest, 'cookies' | 'unsignCookie'>, signOuts: SignOuts): Promise<string | null> {
  const { session = '' } = request.cookies
  const [, time, user] = /^(\d+):(.+)$/.exec(request.unsignCookie(session).value ?? '') ?? []
  return user !== undefined && Number(time) > await signOuts.last(user) ? user : null
}

const session: FastifyPluginAsyncTypebox<{ signOuts: SignOuts }> = async (app, { signOuts }) => {
  app.post('/session', {
    schema: signIn,
    // Other tabs of the browser share the cookie: their streams close, and reconnect as those of the new user.
    onResponse: async (request, reply) => {
      const before = await userOf(request, signOuts)
      if (reply.statusCode === 200 && before !== null && before !== request.body.name) await app.sse.close(before)
    }
  }, async ({ body: { name } }, reply) => {
    // later than a sign-out in the same ms
    const time = Math.max(Date.now(), await signOuts.last(name) + 1)
    reply.setCookie('session', `${time}:${name}`, { signed: true, httpOnly: true, sameSite: 'strict', secure: 'auto', path: '/' })
    return { name }
  })

  app.get('/session', { schema: { hide: true } }, async (request) => ({ name: await userOf(request, signOuts) }))

  app.post('/sign-out', { schema: signOut }, async (request, reply) => {
    const user = await userOf(request, signOuts)
    if (user === null) throw new NotSignedIn()
    // first the sessions, because the clients reconnect, and must be refused then
    await signOuts.add(user)
    await app.sse.close(user)
    reply.clearCookie('session', { path: '/' }).code(204)
    return null
  })
}

export default session
