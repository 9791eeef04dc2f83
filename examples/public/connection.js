/** Opens an event stream, and shows in `#connection` how it is doing. */
export function connect (url) {
  const stream = new window.EventSource(url)
  const show = (state, text) => {
    const shown = document.querySelector('#connection')
    shown.dataset.state = state
    shown.textContent = text
  }
  stream.addEventListener('open', () => show('live', 'live'))
  stream.addEventListener('error', () => {
    if (stream.readyState === window.EventSource.CLOSED) show('closed', 'closed')
    else show('waiting', 'reconnecting')
  })
  return stream
}
