"""The page in the browser: its routes and the server that restricts access to it.

handlers    what each route does
server      address, access token, and the thread that serves
"""
