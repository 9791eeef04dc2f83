/**
 * Keeps a list at its end while it grows and changes its size, unless somebody has scrolled away.
 * @param moved told, whenever that changes, whether it is at its end
 * @returns what goes back to the end
 */
export function followEnd (list, moved = () => {}) {
  let atEnd = true
  const turn = (to) => {
    if (atEnd === to) return
    atEnd = to
    moved(to)
  }
  const follow = () => {
    if (atEnd) list.scrollTop = list.scrollHeight
  }
  list.addEventListener('scroll', () => turn(list.scrollTop + list.clientHeight >= list.scrollHeight - 8))
  new window.ResizeObserver(follow).observe(list)
  new window.MutationObserver(follow).observe(list, { childList: true })
  return () => {
    turn(true)
    follow()
  }
}
