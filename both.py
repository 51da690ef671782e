"""both.py FILE [ours|theirs|both]...: resolve conflict hunks in order."""
import re,sys
p=sys.argv[1]; how=sys.argv[2:]; s=open(p).read(); n=0
def f(m):
    global n
    h=how[min(n,len(how)-1)]; n+=1
    return {'ours':m.group(1),'theirs':m.group(3),'both':m.group(1)+m.group(3)}[h]
s=re.sub(r"<<<<<<< [^\n]*\n(.*?)\|\|\|\|\|\|\| [^\n]*\n(.*?)=======\n(.*?)>>>>>>> [^\n]*\n",f,s,flags=re.S)
open(p,'w').write(s); print(p,n)
