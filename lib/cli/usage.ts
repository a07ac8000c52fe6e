/** Floor 6. What is wrong with a command line. */

/** A command line that cannot be understood; its message is one line. */
export class UsageError extends Error {}
