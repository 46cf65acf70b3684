"""``python -m autohair_video``: the command line."""

from autohair_video.cli import main

if __name__ == "__main__":
    main()
