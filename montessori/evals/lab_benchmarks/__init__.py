"""The lab's four benchmarks: answers in words, choices and numbers, and how they are scored."""
