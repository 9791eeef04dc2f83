/** The members of elements that tests use in a page. The types of React declare both interfaces without members. */
interface ScrolledElement extends EventTarget {
  scrollTop: number
  scrollHeight: number
  clientHeight: number
}
interface HTMLElement extends ScrolledElement {}
interface SVGElement extends ScrolledElement {}
