/** Posts JSON. Throws an error that says in words for a person why the request failed. */
export function post (url, body) {
  return request(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
}

/** Stops the run at a URL. Throws like `post`. */
export function stop (url) {
  return request(url, { method: 'DELETE' })
}

async function request (url, options) {
  const response = await fetch(url, options).catch(() => { throw new Error('Not sent: the server cannot be reached') })
  if (response.status === 401) throw new Error('Not sent: you need to sign in first')
  if (!response.ok) throw new Error(`Not sent: ${(await response.json()).message}`)
}
