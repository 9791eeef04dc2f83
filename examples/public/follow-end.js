/** Keeps a list at its end while it grows and changes its size, unless somebody has scrolled away. Returns what goes back to the end. */
export function followEnd (list) {
  let atEnd = true
  const follow = () => {
    if (atEnd) list.scrollTop = list.scrollHeight
  }
  list.addEventListener('scroll', () => {
    atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 8
  })
  new window.ResizeObserver(follow).observe(list)
  new window.MutationObserver(follow).observe(list, { childList: true })
  return () => {
    atEnd = true
    follow()
  }
}
