/**
 * Floor 3. Which addresses a webhook may go to. Public ones only, unless the config allows others: whoever can choose
 * what a name resolves to must not choose a service of this machine or network (OWASP, "Server-Side Request Forgery").
 */
import { BlockList, isIP } from 'node:net'

/** Source: IANA's registries of special-purpose addresses; RFC 6890, RFC 6598, RFC 1112. */
const SPECIAL_IPV4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
]
/** Of the public ones, 2000::/3: Teredo and others of its block, documentation, 6to4, SRv6's. */
const SPECIAL_IPV6: readonly (readonly [string, number])[] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
]

const special = new BlockList()
for (const [network, prefix] of SPECIAL_IPV4) special.addSubnet(network, prefix, 'ipv4')
const specialIPv6 = new BlockList()
for (const [network, prefix] of SPECIAL_IPV6) specialIPv6.addSubnet(network, prefix, 'ipv6')
const publicIPv6 = new BlockList()
publicIPv6.addSubnet('2000::', 3, 'ipv6')

/** Whether a connection to an address, as text of `net.isIP`, may be made. */
export type AddressFilter = (address: string) => boolean

/**
 * @param allowed every address, or networks that are allowed beside the public ones.
 * @throws Error where one is no network.
 */
export function addressFilter(allowed: boolean | readonly string[]): AddressFilter {
  if (allowed === true) return () => true
  const list = new BlockList()
  for (const network of allowed === false ? [] : allowed) addNetwork(list, network)
  return (text) => {
    const address = plainAddress(text)
    if (isIP(address) === 4) return !special.check(address, 'ipv4') || list.check(address, 'ipv4')
    return isPublicIPv6(address) || list.check(address, 'ipv6')
  }
}

/** @throws Error */
function addNetwork(list: BlockList, text: string): void {
  const [, address = '', prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const version = isIP(address)
  const bits = version === 4 ? 32 : 128
  const length = prefix === undefined ? bits : Number(prefix)
  if (version === 0 || length > bits) {
    throw new Error(`'${text}' is no network: write 10.1.0.0/16, fd00::/8, or a single address`)
  }
  list.addSubnet(address, length, version === 4 ? 'ipv4' : 'ipv6')
}

/** Without a zone, and an IPv4 address that is written as one of IPv6 as what it is. */
function plainAddress(text: string): string {
  const [address = ''] = text.split('%')
  if (isIP(address) !== 6) return address
  const groups = groupsOf(address)
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
  const isTranslated = groups[0] === 0x64 && groups[1] === 0xff9b && groups.slice(2, 6).every((group) => group === 0)
  if (!isMapped && !isTranslated) return address
  const [high = 0, low = 0] = groups.slice(6)
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}

function isPublicIPv6(address: string): boolean {
  return isIP(address) === 6 && publicIPv6.check(address, 'ipv6') && !specialIPv6.check(address, 'ipv6')
}

/** Its eight numbers. A URL's parser writes every form in one way: no IPv4 within, one `::` at most. */
function groupsOf(address: string): number[] {
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const numbers = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((each) => Number.parseInt(each, 16))
  const [first, last] = [numbers(head), numbers(tail ?? '')]
  return [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last]
}
