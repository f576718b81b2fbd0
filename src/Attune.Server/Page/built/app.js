/* Attune (MIT), with Preact (MIT, copyright (c) 2015-present Jason Miller). Made by npm run build of 3b0a3f1daca18ee105e13c9802c5562c52638d13339a3523681c47d289014050 */
var x,jt,jn,U,ct,Xe,Lt,De,Bt,mt,dt,Ln,ke=Symbol.for("pv"),ze={},He=[],Bn=/^m(i|n|o|s|text|space)$/,pt=Array.isArray,Xt=He.
slice,oe=Object.assign;function re(e){e&&e.parentNode&&e.remove()}function je(e,t,n,o,s){var a={type:e,props:t,key:n,ref:o,__k:null,__:null,__b:0,__e:null,__c:null,constructor:ke,__v:s||
++jt,__i:-1,__u:0};return!s&&x.vnode&&x.vnode(a),a}function R(e){return e.children}function Le(e,t){this.props=e,this.context=t,this.__g=0}function V(e,t){if(t==null)return e.
__&&V(e.__,e.__i+1);for(var n;t<e.__k.length;t++)if((n=e.__k[t])&&n.__e)return n.__e;return typeof e.type!="function"||e.
props.__P?null:V(e)}function Xn(e){var t,n=e.__v,o=n.__e,s=[],a=[],i=e.__P;i&&((t=oe({constructor:ke},n)).__v=n.__v+1,x.
vnode&&x.vnode(t),ft(i,t,n,e.__n,i.namespaceURI,32&n.__u?[o]:null,s,o||V(n),32&n.__u,a),t.__v=n.__v,t.__.__k[t.__i]=t,Ut(
s,t,a),n.__=n.__e=null,t.__e!=o&&zt(t))}function zt(e){if((e=e.__)&&e.__c&&!e.props.__P)return e.__e=null,e.__k.some(function(t){
return t&&(e.__e=t.__e)}),zt(e)}function At(e){(8&e.__g||(e.__g|=8,U.push(e),Xe++))&&ct==x.debounceRendering||((ct=x.debounceRendering)||
queueMicrotask)(Ht)}function Ht(){try{for(var e,t=1;U.length;)U.length>t&&U.sort(Lt),e=U.shift(),t=U.length,8&e.__g&&Xn(
e)}finally{(Xe=U.length)&&(ct||queueMicrotask)(Ht)}}function It(e,t,n,o,s,a,i,l,u,f,c){var p,m,d,h,w,v,y=o.__k||He,b=t.length;
for(u=zn(n,t,y,u,b),p=0;p<b;p++)(d=n.__k[p])!=null&&(m=~d.__i&&y[d.__i]||ze,d.__i=p,v=ft(e,d,m,s,a,i,l,u,f,c),h=d.__e,(m.
ref!=d.ref||8&m.__u)&&(m.ref&&ht(m.ref,null,d,m),d.ref&&c.push(d.ref,d.__c||h,d)),w=w||h,4&d.__u?(u=Wt(d,u,e,!m.__v),m.__e&&
(m.__e=null)):typeof d.type=="function"&&v!==void 0?u=v:h&&(u=h.nextSibling),d.__u&=-21);return n.__e=w,u}function zn(e,t,n,o,s){
var a,i,l,u,f,c,p,m,d,h=n.length,w=h,v=0,y=0,b=e.__k=Array(s);for(a=0;a<s;a++)(i=t[a])!=null&&typeof i!="boolean"&&typeof i!=
"function"?(typeof i!="object"||i.constructor===String?i=b[a]=je(null,i):pt(i)?i=b[a]=je(R,{children:i}):i.constructor===
ke&&i.__b?i=b[a]=je(i.type,i.props,i.key,i.ref,i.__v):b[a]=i,u=a+v,i.__=e,i.__b=e.__b+1,l=null,~(f=i.__i=Hn(i,n,u,w))&&(w--,
(l=n[f])&&(l.__u|=2)),l&&l.__v?(i.__u|=16,f==u-1?v--:f==u+1?v++:f!=u&&(f>u?v--:v++,y=1)):(~f||(s>h?v--:s<h&&v++),typeof i.
type!="function"&&(i.__u|=4))):b[a]=null;if(y){for(c=[],p=[],a=0;a<s;a++)if((i=b[a])&&16&i.__u){for(v=0,m=c.length;v<m;)
c[d=v+m>>1]<i.__i?v=d+1:m=d;c[v]=i.__i,p[a]=v+1}for(v=c.length;a--;)p[a]&&(p[a]==v?v--:b[a].__u|=4)}if(w)for(a=0;a<h;a++)
!(l=n[a])||2&l.__u||(l.__e==o&&(o=V(l)),gt(l,l));return o}function Wt(e,t,n,o){var s,a,i,l;if(typeof e.type=="function"){
if(e.props.__P)return t;if(s=e.__k)for(a=0;a<s.length;a++)s[a]&&(s[a].__=e,t=Wt(s[a],t,n,!1));return t}for(t&&!t.parentNode&&
(t=V(e))&&!t.parentNode&&(t=null),i=e.__e,l=t;l&&l.nodeType==8;)l=l.nextSibling;for(i!=l&&(!o&&n.moveBefore&&i.parentNode?
n.moveBefore(i,t):n.insertBefore(i,t||null)),t=i;(t=t&&t.nextSibling)&&t.nodeType==8&&!t.data.startsWith("$s"););return t}function Hn(e,t,n,o){var s,a=e.key,i=e.type,l=t[n],u=l&&!(2&l.__u);if(l===null&&a==null||u&&a==l.key&&i==l.type)return n;
if(o>(u?1:0)){for(s=n-1;s>=0;s--)if((l=t[s])&&!(2&l.__u)&&a==l.key&&i==l.type)return s;for(s=n+1;s<t.length;s++)if((l=t[s])&&
!(2&l.__u)&&a==l.key&&i==l.type)return s}return-1}function Dt(e,t,n){n==null&&(n=""),t[0]=="-"?e.setProperty(t,n):e[t]=n}
function Ae(e,t,n,o,s){var a,i;if(t=="style")if(typeof n=="string")e.style.cssText=n;else{if(typeof o=="string"&&(e.style.
cssText=o=""),o)for(t in o)n&&t in n||Dt(e.style,t);if(n)for(t in n)o&&n[t]==o[t]||Dt(e.style,t,n[t])}else if(t[0]=="o"&&
t[1]=="n")typeof n!="function"&&(n=null),typeof o!="function"&&(o=null),(e.__e||(e.__e={}))[t]=n,n&&o||(i=dt[t]||(dt[t]=
In(t)),(e.__a||(e.__a={}))[t]=mt,a=t!=(t=t.replace(Bt,"$1")),(t=t.slice(2))[0]<"a"&&(t=t.toLowerCase()),n?e.addEventListener(
t,i,a):e.removeEventListener(t,i,a));else{if(s=="http://www.w3.org/2000/svg")t=t.replace(/xlink(H|:h)/,"h").replace(/sName$/,
"s");else if(t!="width"&&t!="height"&&t!="href"&&t!="list"&&t!="form"&&t!="tabIndex"&&t!="download"&&t!="rowSpan"&&t!="c\
olSpan"&&t!="role"&&t!="popover"&&t in e)try{return void(e[t]=n??"")}catch{}if(typeof n=="function")return;n==null||n===
!1&&t[4]!="-"?e.removeAttribute(t):e.setAttribute(t,t=="popover"&&n==1?"":n)}}function In(e){return function(t){var n=this.
__e;if(n){if(n=n[e],t[De]==null)t[De]=mt++;else if(t[De]<this.__a[e])return;return n(x.event?x.event(t):t)}}}function ft(e,t,n,o,s,a,i,l,u,f){
var c,p,m,d,h,w,v,y,b,M,k,ut,Ft,Ne,te,Nt,q,ne,I=t.type;if(t.constructor!==ke)return null;128&n.__u&&(u=32&n.__u,c=n.__c.
__z)&&(t.__u|=u,p=a=[],c.nodeType==8?l=Be(c,a):a.push(c),l=a[0]||l),(c=x.__b)&&c(t);e:if(typeof I=="function"){m=i.length;
try{if(y=t.props,b=(c=I.prototype)&&c.render,M=(c=I.contextType)&&o[c.__c],k=c?M?M.props.value:c.__:o,(d=n.__c)?(t.__c=d,
2&d.__g&&(d.__g|=1)):(b?t.__c=d=new I(y,k):(t.__c=d=new Le(y,k),d.constructor=I,d.render=qn),M&&M.sub(d),d.state||(d.state=
{}),d.__n=o,d.__g|=8,d.__h=[],d.__k=[]),b&&(d.__s||(d.__s=d.state),I.getDerivedStateFromProps&&(d.__s==d.state&&(d.__s=oe(
{},d.__s)),oe(d.__s,I.getDerivedStateFromProps(y,d.__s)))),h=d.props,w=d.state,d.__v=t,n.__c){if(y!==h&&b&&!I.getDerivedStateFromProps&&
d.componentWillReceiveProps&&d.componentWillReceiveProps(y,k),t.__v==n.__v&&!(8&d.__g)||!(4&d.__g)&&d.shouldComponentUpdate&&
d.shouldComponentUpdate(y,d.__s,k)===!1){t.__v!=n.__v&&(d.props=y,d.state=d.__s,d.__g&=-9),t.__e=n.__e,t.__k=n.__k,t.__k.
some(function(j){j&&(j.__=t)}),He.push.apply(d.__h,d.__k),d.__k=[],d.__h.length&&i.push(d),l=V(n);break e}d.componentWillUpdate&&
d.componentWillUpdate(y,d.__s,k),b&&d.componentDidUpdate&&d.__h.push(function(){d.componentDidUpdate(h,w,v)})}else b&&!I.
getDerivedStateFromProps&&d.componentWillMount&&d.componentWillMount(),b&&d.componentDidMount&&d.__h.push(d.componentDidMount);
d.context=k,d.props=y,d.__P=e,d.__g&=-5,ut=x.__r,Ft=b?25:0;do d.__g&=-9,ut&&ut(t),c=d.render(d.props,d.state=d.__s,d.context);while(8&
d.__g&&++Ft<25);b&&(He.push.apply(d.__h,d.__k),d.__k=[]),d.state=d.__s,d.getChildContext&&(o=oe({},o,d.getChildContext())),
b&&n.__c&&d.getSnapshotBeforeUpdate&&(v=d.getSnapshotBeforeUpdate(h,w)),Ne=c&&c.type===R&&c.key==null?c.props.children:c,
y.__P&&(c=l,s=(e=y.__P).namespaceURI,u=a=null,n.props&&n.props.__P!=e&&(n.__k.some(function(j){j&&gt(j,j)}),n.__k=null),
l=n.__k?V(n,0):null),l=It(e,pt(Ne)?Ne:[Ne],t,n,o,s,a,i,l,u,f),y.__P&&(t.__e=null,l=c),t.__u&=-161,p&&p.some(re),d.__h.length&&
i.push(d),1&d.__g&&(d.__g&=-4)}catch(j){if(i.length=m,t.__v=null,u||a)if(j&&j.then){if(t.__u|=128|u,a){for(~(q=a.indexOf(
l||void 0))||(q=a.length);(ne=a[q-1])&&ne.nodeType==8;)q--;for(;q<a.length;q++)if(ne=a[q])if(a[q]=null,te){if(ne==Nt)break}else{
if(ne.nodeType!=8)break;ne.data.startsWith("$s")&&(Nt=Be(te=ne))}}if(!te){for(;l&&l.nodeType==8&&l.nextSibling;)l=l.nextSibling;
te=l}(c=Be(te=t.__c.__z||(t.__c.__z=te)))?(t.__e=te,l=c):t.__e=l,l=l&&l.nextSibling}else a&&a.some(re);else t.__e=n.__e;
t.__k||(t.__k=n.__k||[]),j&&j.then||qt(t),x.__e(j,t,n)}}else l=t.__e=Wn(n.__e,t,n,o,s,a,i,u,f,e);return(c=x.diffed)&&c(t),
l}function Be(e,t){if(e&&e.nodeType==8&&e.data.startsWith("$s"))for(var n=1;e=e.nextSibling;){if(e.nodeType==8){if(e.data.
startsWith("$s"))n++;else if(e.data.startsWith("/$s")&&!--n)return e}t&&t.push(e)}}function qt(e){e&&(e.__c&&(e.__c.__g|=
4),e.__k&&e.__k.some(qt))}function Ut(e,t,n){for(var o=0;o<n.length;)ht(n[o++],n[o++],n[o++]);x.__c&&x.__c(t,e),e.some(function(s){
try{e=s.__h,s.__h=[],e.some(function(a){a.call(s)})}catch(a){x.__e(a,s.__v)}})}function Wn(e,t,n,o,s,a,i,l,u,f){var c,p,
m,d,h,w,v,y,b=n.props||ze,M=t.props,k=t.type;if(k=="svg"?s="http://www.w3.org/2000/svg":k=="math"?s="http://www.w3.org/1\
998/Math/MathML":s||(s="http://www.w3.org/1999/xhtml"),a){for(c=0;c<a.length;c++)if((h=a[c])&&(k?h.localName==k:h.nodeType==
3)){e=h,a[c]=null;break}}if(!e){if(y=f.ownerDocument||document,!k)return y.createTextNode(M);e=y.createElementNS(s,k,M.is?
M:f),l&&(x.__m&&x.__m(t,a),l=!1),a=null}if(k){if(f=k=="template"&&e.content||e,a=k=="textarea"&&M.defaultValue!=null?null:
a&&Xt.call(f.childNodes),!l&&a)for(b={},c=0;c<e.attributes.length;c++)b[(h=e.attributes[c]).name]=h.value;for(c in b)h=b[c],
c=="dangerouslySetInnerHTML"?m=h:c=="children"||c in M||c=="value"&&"defaultValue"in M||c=="checked"&&"defaultChecked"in
M||Ae(e,c,null,h,s);for(c in M)h=M[c],c=="children"?d=h:c=="dangerouslySetInnerHTML"?p=h:c=="value"?w=h:c=="checked"?v=h:
l&&typeof h!="function"||b[c]===h||Ae(e,c,h,b[c],s);p?(l||m&&(p.__html==m.__html||p.__html==e.innerHTML)||(e.innerHTML=p.
__html),t.__k=[]):(m&&(e.textContent=""),(k=="foreignObject"||s=="http://www.w3.org/1998/Math/MathML"&&Bn.test(k))&&(s="\
http://www.w3.org/1999/xhtml"),It(f,pt(d)?d:[d],t,n,o,s,a,i,a?a[0]:n.__k&&V(n,0),l,u),a&&a.some(re)),l&&k!="textarea"||(c=
"value",k=="progress"&&w==null?e.removeAttribute(c):w==null||w===e[c]&&(k!="progress"||w)||Ae(e,c,w,b[c],s),c="checked",
v!=null&&v!=e[c]&&Ae(e,c,v,b[c],s))}else b===M||l&&e.data==M||(e.data=M);return e}function ht(e,t,n,o){try{typeof e=="fu\
nction"?t?t.__x=e(t)||1:o&&(o=o.__c||o.__e)&&(t=o.__x)&&(o.__x=null,typeof t=="function"?t():e(null)):e.current=t}catch(s){
x.__e(s,n)}}function gt(e,t,n){var o,s,a,i;if(x.unmount&&x.unmount(e),!(o=e.ref)||o.current&&o.current!=e.__e||ht(o,null,
t,e),o=e.__c){if(o.componentWillUnmount)try{o.componentWillUnmount()}catch(l){x.__e(l,t)}o.__P=o.__n=null}if(o=e.__k)for(i=
0;i<o.length;i++)o[i]&&gt(o[i],t,typeof e.type!="function"||n&&!e.props.__P);!n&&(o=e.__c)&&(o=o.__z)&&(s=Be(o,a=[]))&&(o==
e.__e&&a.some(re),re(s),re(o)),n||re(e.__e),e.__e=e.__c=e.__=null}function qn(e,t,n){return this.constructor(e,n)}function Vt(e,t){
var n,o,s,a;x.__&&x.__(e,t),t.nodeType==9&&(t=t.documentElement),o=(n=e&&32&e.__u)?null:t.__k,t.__k=je(R,{children:[e]}),
s=[],a=[],ft(t,t.__k,o||ze,ze,t.namespaceURI,o?null:t.firstChild?Xt.call(t.childNodes):null,s,o?o.__e:t.firstChild,n,a),
Ut(s,t.__k,a),t.__k.props.children=null}x={__e:function(e,t,n,o){for(var s,a,i;t=t.__;)if((s=t.__c)&&!(1&s.__g)){s.__g|=4;try{if((i=(a=s.constructor)&&a.getDerivedStateFromError)&&
s.setState(a.getDerivedStateFromError(e)),s.componentDidCatch&&(s.componentDidCatch(e,o||{}),i=1),i&&8&s.__g)return void(s.
__g|=2)}catch(l){e=l}}throw Xe=0,e}},jt=0,jn=function(e){return e!=null&&e.constructor===ke},Le.prototype.setState=function(e,t){
var n=this.__s;n&&n!=this.state||(n=this.__s=oe({},this.state)),typeof e=="function"&&(e=e(oe({},n),this.props)),e&&(oe(
n,e),this.__v&&(t&&this.__k.push(t),At(this)))},Le.prototype.forceUpdate=function(e){this.__v&&(this.__g|=4,e&&this.__h.
push(e),At(this))},Le.prototype.render=R,U=[],Xe=0,Lt=function(e,t){return e.__v.__b-t.__v.__b},De=Symbol(),Bt=/(PointerCapture)$|Capture$/i,
mt=0,dt={},Ln=0;var Me,J,_t,Gt,vt=Object.is,Ie=0,on=[],bt=[],C=x,Kt=C.__b,Qt=C.__r,Yt=C.diffed,Zt=C.__c,en=C.unmount,tn=C.__;function wt(e,t){
C.__h&&C.__h(J,e,Ie||t),Ie=0;var n=J.__H||(J.__H={__:[],__h:[]});return e>=n.__.length&&n.__.push({}),n.__[e]}function P(e){
return Ie=1,Un(an,e)}function Un(e,t,n){var o=wt(Me++,2);if(o.t=e,!o.__c&&(o.__=[n?n(t):an(void 0,t),function(a){var i=(o.
__N||o.__)[0],l=o.t(i,a);vt(i,l)||(o.__N=[l,o.__[1]],o.__c.setState({}))}],o.__c=J,!J.__f)){J.__f=!0;var s=J.shouldComponentUpdate;
J.shouldComponentUpdate=function(a,i,l){var u=this.__H;if(!u)return!0;var f=!1,c=this.props!=a;if(u.__.some(function(m){
m.__N&&(f=!0,vt(m.__[0],m.__N[0])||(c=!0))}),s){var p=s.call(this,a,i,l);return f?p||c:p}return!f||c}}return o.__}function X(e,t){
var n=wt(Me++,3);!C.__s&&sn(n.__H,t)&&(n.__P=!0,n.__=e,n.u=t,J.__H.__h.push(n))}function me(e){return Ie=5,Vn(function(){return{current:e}},[])}function Vn(e,t){var n=wt(Me++,7);return sn(n.__H,t)&&(n.__=e(),n.__H=t),n.__}function Gn(){var e;do{for(;e=bt.shift();)try{Se(e)}catch(n){C.__e(n,{__:(e=e.__P)&&e.__v})}for(;e=on.shift();){var t=e.
__H;if(e.__P&&t)try{t.__h.some(Se),t.__h.some(yt),t.__h=[]}catch(n){t.__h=[],C.__e(n,e.__v)}}}while(bt.length)}C.__b=function(e){
J=null,Kt&&Kt(e)},C.__=function(e,t){e&&t.__k&&t.__k.__m&&(e.__m=t.__k.__m),tn&&tn(e,t)},C.__r=function(e){Qt&&Qt(e),Me=
0;var t=(J=e.__c).__H;t&&(_t==J?J.__h=[]:(t.__h.some(Se),t.__h.some(yt),Me=0),t.__h=[],t.__.some(function(n){n.__N&&(n.__=
n.__N),n.u=n.__N=void 0})),_t=J},C.diffed=function(e){Yt&&Yt(e);var t=e.__c;t&&t.__H&&(t.__H.__h.length&&rn(on.push(t)),
t.__H.__.some(function(n){n.u&&(n.__H=n.u)})),_t=J=null},C.__c=function(e,t){t.some(function(n){try{n.__h.some(Se),n.__h=
n.__h.filter(function(o){return!o.__||yt(o)})}catch(o){n.__h=[function(){throw o}]}}),Zt&&Zt(e,t)},C.unmount=function(e){
en&&en(e);var t,n,o=e.__c;o&&o.__H&&(o.__H.__.some(function(s){try{if(s.__P&&s.__c){if(n===void 0){for(n=e.__;n&&(!n.__c||
!n.__c.__P);)n=n.__;n=n&&n.__c}s.__P=n,rn(bt.push(s))}else Se(s)}catch(a){t=a}}),o.__H=void 0,t&&C.__e(t,o.__v))};var nn=typeof requestAnimationFrame==
"function";function Kn(e){var t,n=function(){clearTimeout(o),nn&&cancelAnimationFrame(t),setTimeout(e)},o=setTimeout(n,35);
nn&&(t=requestAnimationFrame(n))}function rn(e){e!=1&&Gt==C.requestAnimationFrame||((Gt=C.requestAnimationFrame)||Kn)(Gn)}
function Se(e){var t=J,n=e.__c;typeof n=="function"&&(e.__c=void 0,n()),J=t}function yt(e){var t=J;e.__c=e.__(),J=t}function sn(e,t){
return!e||e.length!=t.length||t.some(function(n,o){return!vt(n,e[o])})}function an(e,t){return typeof t=="function"?t(e):
t}var z=class extends Error{constructor(n,o){super(o.message);this.status=n;this.body=o}status;body},ln=()=>{};function un(e){
ln=e}async function Te(e,t){let n;try{n=await fetch(e,t)}catch{throw new z(0,{message:"The server does not answer. Is it\
 still running?",param:null,code:"unreachable"})}if(n.ok)return n;n.status===401&&ln();let o=await n.json().catch(()=>null);
throw new z(n.status,o?.error??{message:`The server answered ${n.status}.`,param:null,code:""})}async function xt(e){if(e.
status!==204)return JSON.parse((await e.text()).replace(/"seed":\s*(\d{16,})/g,'"seed":"$1"'))}function Qn(e){let t=We();
return JSON.stringify(e,(o,s)=>typeof s=="bigint"?`${t}${s}`:s).replace(new RegExp(`"${t}(\\d+)"`,"g"),"$1")}async function se(e){
return await xt(await Te(e))}async function G(e){return(await se(e)).data}async function pe(e,t,n={}){let o=await Te(e,{
method:"POST",headers:{"Content-Type":"application/json",...n},body:Qn(t)});return await xt(o)}async function cn(e,t){await Te(
e,{method:"PATCH",headers:{"Content-Type":"application/json"},body:JSON.stringify(t)})}async function kt(e){await Te(e,{
method:"DELETE",keepalive:!0})}async function dn(e){let t=await Te("/api/images/read",{method:"POST",body:e});return await xt(
t)}function We(){return Array.from(crypto.getRandomValues(new Uint8Array(16)),e=>e.toString(16).padStart(2,"0")).join("")}var Yn=Symbol.for("pv"),Zn=0;function r(e,t,n,o,s,a){t||(t={});var i,l,u=t;if("ref"in u&&typeof e!="function")for(l in u={},t)l=="ref"?i=t[l]:u[l]=t[l];
var f={type:e,props:u,key:n,ref:i,__k:null,__:null,__b:0,__e:null,__c:null,constructor:Yn,__v:--Zn,__i:-1,__u:0};return(s||
a)&&(f.__source=s,f.__self=a),x.vnode&&x.vnode(f),f}var er={star:"M12 3.6l2.6 5.3 5.8.8-4.2 4.1 1 5.8-5.2-2.7-5.2 2.7 1-5.8-4.2-4.1 5.8-.8z",trash:"M4 7h16M9 7V4.5h6V7m-8.5\
 0 .8 12.5h9.4L17.5 7M10 11v5m4-5v5",download:"M12 4v11m-4.5-4.5L12 15l4.5-4.5M5 19.5h14",close:"M6 6l12 12M18 6 6 18",dice:"\
M5 5h14v14H5zM9 9h.01M15 9h.01M12 12h.01M9 15h.01M15 15h.01",copy:"M9 9h11v11H9zM15 9V4H4v11h5",sun:"M12 8a4 4 0 1 0 0 8\
 4 4 0 0 0 0-8zM12 2.5v2m0 15v2M2.5 12h2m15 0h2M5.3 5.3l1.4 1.4m10.6 10.6 1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4",moon:"\
M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z",auto:"M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",help:"M9 9.2a3 3 0 1 1 4\
.3 2.7c-.9.5-1.3 1-1.3 2.1M12 17.5h.01",open:"M4 7.5V18h16V9.5h-8.5L9.5 7.5z",back:"M14.5 5.5 8 12l6.5 6.5",next:"M9.5 5\
.5 16 12l-6.5 6.5",plus:"M12 5v14M5 12h14",code:"M9 7l-5 5 5 5M15 7l5 5-5 5"};function $({name:e,filled:t=!1}){return r(
"svg",{class:"icon",viewBox:"0 0 24 24",width:"20",height:"20","aria-hidden":"true",focusable:"false",fill:t?"currentCol\
or":"none",stroke:"currentColor","stroke-width":"1.8","stroke-linecap":"round","stroke-linejoin":"round",children:r("pat\
h",{d:er[e]})})}function F(e){let t=e.trim();return t===""||t==="none"||t==="default"?[]:t.split("+").map(n=>{let[o="",...s]=n.split(":"),
a={};for(let i of s.join(":").split(",")){let[l="",...u]=i.split("=");l.trim()!==""&&(a[l.trim()]=u.join("=").trim())}return{
name:o.trim(),values:a}})}function ae(e){return e.length===0?"none":e.map(t=>{let n=Object.entries(t.values).filter(([,o])=>o!==
"").map(([o,s])=>`${o}=${s}`);return n.length>0?`${t.name}:${n.join(",")}`:t.name}).join("+")}function fe(e,t){let n=e?.
rules.find(o=>o.name===t);return n?F(n.text)[0]??null:null}function he(e){return e.kind==="number"||e.kind==="integer"}function mn(e){
let t=10**Math.floor(Math.log10(e));return t*([1,2,5,10].find(n=>n*t>=e*.999)??10)}function qe(e,t,n){let o=[Number(t.default),
...n.map(u=>Number(fe(u,e.name)?.values[t.name]))],s=Math.max(...o.filter(Number.isFinite),.5),a=t.minimum??-s*2,i=t.maximum??
Math.max(mn(s*2),a+1),l=t.kind==="integer"?1:Math.min(mn((i-a)/200),.5);return{min:a,max:i,step:l}}function Ce(e){return String(
Number(e.toPrecision(6)))}var T=class{constructor(t){this.current=t}current;watchers=new Set;get value(){return this.current}set(t){if(t!==this.current){
this.current=t;for(let n of[...this.watchers])n()}}change(t){this.set({...this.current,...t})}watch(t){return this.watchers.
add(t),()=>this.watchers.delete(t)}};function _(e){let[,t]=P({});return X(()=>e.watch(()=>t({})),[e]),e.value}function K(e){
try{return JSON.parse(localStorage.getItem(`attune.${e}`)??"null")}catch{return null}}function ie(e,t){try{localStorage.
setItem(`attune.${e}`,JSON.stringify(t))}catch{}}var S=new T(null),Ge=new T(null);async function Ye(){try{let[e,t,n,o,s]=await Promise.all([G("/api/models"),G("/api/guid\
ance"),G("/api/presets"),G("/api/options"),se("/api/status")]);Ge.set(null),S.set({models:e,rules:t,families:n,options:o,
status:s});let[a]=Tt(A(g.value.model));if(!nr&&a&&g.change({prompt:a[0],negative:a[1],seed:String(a[2])}),hn(),await Promise.
all([ye(),Y()]),gn(),E.value===null){let i=H.value[0];i&&E.set({kind:"set",id:i.id})}}catch(e){Ge.set(B(e))}}function B(e){
return e instanceof Error?e.message:String(e)}var pn={scenes:[["a panda on a blue background","sunglasses",6],["a lion o\
n a blue background","crown",7],["a fox on a green background","hat",6]],other:[["a red fox in fresh snow at sunrise, ph\
otograph","blurry, text",7],["a small wooden house by a lake, watercolour","people",5]]};function Tt(e){return e?.attune.
family?.startsWith("scenes")?pn.scenes:pn.other}var tr={mode:"compare",prompt:"",negative:"",model:"",guidance:"default",
rules:[],size:"",steps:"",seed:"7",newSeed:!0,count:4,scheduler:"",more:{},trace:!0,grid:{parameter:"",from:"",to:"",count:4},
picture:null},nr=K("form")!==null,g=new T({...tr,...K("form"),picture:null});g.watch(()=>{ie("form",{...g.value,picture:null}),
hn()});function A(e){let t=S.value?.models??[];return t.find(n=>n.id===(e||S.value?.status.default_model))??t[0]}function Ze(e){
return S.value?.families.find(t=>t.family===e?.attune.family)}function fn(e){let t={prompt:e.prompt,guidance:et(e),preview:!0};
e.negative.trim()!==""&&(t.negative_prompt=e.negative),e.model!==""&&(t.model=e.model),e.size!==""&&(t.size=e.size),e.steps!==
""&&(t.steps=Number(e.steps)),e.seed!==""&&(t.seed=BigInt(e.seed)),e.scheduler!==""&&(t.scheduler=e.scheduler),e.trace&&
(t.trace=!0);let n=tt(A(e.model));for(let o of n){let s=e.more[o.key];s===void 0||s===""||(t[o.key]=o.kind==="flag"?s===
"true":o.kind==="integer"||o.kind==="number"?Number(s):s)}return e.picture&&(t.images=[{image_url:e.picture.data}]),t}function et(e){
return e.guidance==="own"?ae(e.rules):e.guidance}var rr=new Set(["prompt","negative_prompt","steps","seed","width","heig\
ht","count","guidance","scheduler"]);function tt(e){let t=new Set(e?.attune.takes??[]);return(S.value?.options??[]).filter(
n=>!rr.has(n.key)&&(n.takes===void 0||t.has(n.takes)))}function Re(e){return Ze(A(e.model))?.guidance??"none"}function nt(e){
let[t,n]=[Number(e.from),Number(e.to)];if(e.from===""||e.to===""||!Number.isFinite(t)||!Number.isFinite(n))return[];let o=e.
parameter==="steps"||e.parameter.endsWith(".norm"),s=Array.from({length:e.count},(a,i)=>t+(n-t)*i/Math.max(e.count-1,1));
return[...new Set(s.map(a=>String(o?Math.round(a):Number(a.toPrecision(3)))))]}function or(e,t,n){if(!t.includes("."))return{
...e,[t]:Number(n)};let[o,s]=t.split("."),a=F(String(e.guidance)).map(i=>i.name===o?{...i,values:{...i.values,[s]:n}}:i);
return{...e,guidance:ae(a)}}var L=new T({answer:null,error:null}),Ue=0;async function hn(){let e=++Ue;if(await new Promise(
t=>setTimeout(t,250)),!(e!==Ue||S.value===null))try{let t=await pe("/api/check",fn(g.value));e===Ue&&L.set({answer:t,error:null})}catch(t){
e===Ue&&t instanceof z&&t.status!==401&&L.set({answer:null,error:t.body})}}var sr=24,H=new T(K("sets")??[]);function ar(e){
H.set([e,...H.value].slice(0,sr)),ie("sets",H.value)}var E=new T(null);E.watch(()=>{let e=E.value?.kind==="picture"?`#pi\
cture=${E.value.id}`:"";location.hash!==e&&history.replaceState(null,"",e===""?location.pathname:e)});function gn(){let e=/^#picture=([0-9a-z]{26})$/.
exec(location.hash)?.[1];e!==void 0&&ue(e)}addEventListener("hashchange",gn);async function ue(e){if(!Z(e))try{be([await se(
`/api/images/${e}`)])}catch(t){N(B(t));return}E.set({kind:"picture",id:e})}var Pe=new T(!1),_e=new T(null);async function ir(e){
let t={"Idempotency-Key":We()};for(let n=0;;n++)try{let o=await pe("/api/jobs",e,t);return ot(o),o}catch(o){if(n>=2||!(o instanceof
z)||o.status!==0)throw o;await new Promise(s=>setTimeout(s,500))}}async function ce(e=g.value){if(Pe.value)return;Pe.set(
!0),_e.set(null);let t=[];try{e.seed===""&&(e={...e,seed:Ke()});let n=await lr(e,t);ar(n),E.set({kind:"set",id:n.id}),g.
value.newSeed&&g.change({seed:Ke()}),document.querySelector("#stage")?.scrollIntoView({block:"nearest"})}catch(n){for(let o of t)
we(o.id);_e.set(n instanceof z?n.body:{message:B(n),param:null,code:""})}finally{Pe.set(!1),ye()}}async function lr(e,t){
let n=fn(e),o=BigInt(e.seed),s={id:We(),kind:e.mode,prompt:String(n.prompt),cells:[],columns:[],rows:[],axis:""},a=async l=>{
let u=await ir(l);return t.push(u),u},i=e.mode==="compare"||e.mode==="grid"?await ur(e,n):"none";if(e.mode==="compare"){
let l={...n,guidance:Re(e)};l.guidance==="none"&&delete l.negative_prompt;let u=await a(l),f=await a(n),c=F(i).map(p=>p.
name.toUpperCase());s.cells=[{job:u.id,index:0,label:l.guidance==="none"?"Without guidance":`With ${l.guidance} alone`},
{job:f.id,index:0,label:c.length>0?`With ${c.join(" + ")}`:"As asked"}]}else if(e.mode==="grid"){let l=nt(e.grid),u=Math.
max(e.count,1);s.axis=e.grid.parameter,s.columns=l,s.rows=Array.from({length:u},(c,p)=>`seed ${o+BigInt(p)}`);let f=[];for(let c of l)
f.push(await a(or({...n,n:u,guidance:i},e.grid.parameter,c)));for(let c=0;c<u;c++)for(let[p,m]of f.entries())s.cells.push(
{job:m.id,index:c,label:`${e.grid.parameter} ${l[p]}, seed ${o+BigInt(c)}`})}else{let l=e.mode==="seeds"?e.count:1,u=await a(
{...n,n:l});s.cells=Array.from({length:l},(f,c)=>({job:u.id,index:c,label:`seed ${o+BigInt(c)}`}))}return s}async function ur(e,t){
if(e.guidance!=="default")return et(e);let{guidance:n}=await pe("/api/check",t),o=Ze(A(e.model));return n??(e.negative.trim()===
""?o?.guidance:o?.negative_guidance)??"none"}function Ke(){return String(crypto.getRandomValues(new Uint32Array(1))[0])}
var O=new T(new Map),W=new T(new Map),rt=new T(""),Ve=new Map,Q=e=>e.status==="queued"||e.status==="running";function ve(e){
return[...e.values()].filter(Q).sort((t,n)=>(t.position??-1)-(n.position??-1)||t.created-n.created)}function ot(...e){let t=new Map(
O.value);for(let n of e)t.set(n.id,n);O.set(t),be(e.flatMap(n=>n.images))}async function ye(){try{let e=await G("/api/jo\
bs?limit=100"),t=[...O.value.values()].filter(i=>Q(i)&&!e.some(l=>l.id===i.id)),o=((E.value?.kind==="set"?H.value.find(i=>i.
id===E.value.id):H.value[0])?.cells??[]).map(i=>i.job).filter(i=>!O.value.has(i)&&!e.some(l=>l.id===i)),s=await Promise.
all([...new Set([...t.map(i=>i.id),...o])].map(_n)),a=[...O.value.values()].filter(Q).length;ot(...e,...s.filter(i=>i!==
null)),a>0&&ve(O.value).length===0&&Y(),cr()}catch{}}async function _n(e){try{return await se(`/api/jobs/${e}`)}catch{return O.
value.has(e)?{...O.value.get(e),status:"cancelled"}:null}}async function ge(e){let t=await _n(e);t&&ot(t)}function cr(){
let e=ve(O.value).filter(n=>n.status==="running").slice(0,2),t=ve(O.value)[0];for(let n of e.length>0?e:t?[t]:[])Ve.has(
n.id)||dr(n.id)}function dr(e){let t=new EventSource(`/api/jobs/${e}/events`);Ve.set(e,t);let n=(s,a)=>t.addEventListener(
s,i=>a(JSON.parse(i.data))),o=()=>{t.close(),Ve.delete(e),ge(e).then(()=>{mr(e),pr(e),Y(),ye()})};n("started",({image:s})=>{
let a=O.value.get(e);a&&ot({...a,status:"running"}),St(e,{image:s,index:0,count:0,preview:null})}),n("step",s=>St(e,{image:s.
image,index:s.index,count:s.count,preview:W.value.get(e)?.preview??null})),n("preview",s=>St(e,{image:s.image,index:s.index,
count:s.count,preview:`data:image/png;base64,${s.b64_json}`})),n("image",()=>{ge(e)});for(let s of["completed","cancelle\
d","failed"])n(s,o);t.addEventListener("error",()=>{t.readyState===EventSource.CLOSED&&(Ve.delete(e),ge(e))})}function St(e,t){
W.set(new Map(W.value).set(e,t))}function mr(e){let t=new Map(W.value);t.delete(e),W.set(t)}function pr(e){let t=O.value.
get(e);if(!t)return;let n=t.count===1?"The picture":`${t.images.length} of ${t.count} pictures`;rt.set(t.status==="compl\
eted"?`${n} made: ${String(t.request.prompt)}`:t.status==="failed"?`Failed: ${t.error?.message??""}`:"Cancelled.")}async function we(e){
try{await kt(`/api/jobs/${e}`)}catch(t){N(B(t))}await ge(e),ye()}var fr=1500;setInterval(()=>{document.visibilityState===
"visible"&&S.value&&ve(O.value).length>0&&ye()},fr);document.addEventListener("visibilitychange",()=>{document.visibilityState===
"visible"&&S.value&&Promise.all([ye(),Y()])});var Qe=48,D=new T({ids:[],more:!1,starred:!1}),le=new T(new Map),Mt=new Set;
function Z(e){return le.value.get(e)}function be(e){if(e.length===0)return;let t=new Map(le.value);for(let n of e)t.set(
n.id,n);le.set(t)}async function Y(){let{starred:e}=D.value;try{let t=await G(`/api/images?limit=${Qe}&starred=${e}`);if(D.
value.starred!==e)return;be(t),D.set({ids:t.map(n=>n.id).filter(n=>!Mt.has(n)),more:t.length===Qe,starred:e})}catch(t){N(
B(t))}}async function vn(){let{ids:e,starred:t}=D.value,n=await G(`/api/images?limit=${Qe}&starred=${t}&before=${e.at(-1)??
""}`);be(n),D.change({ids:[...e,...n.map(o=>o.id)],more:n.length===Qe})}async function st(e){be([{...e,starred:!e.starred}]);
try{await cn(`/api/images/${e.id}`,{starred:!e.starred})}catch(t){be([e]),N(B(t))}}function bn(e){Mt.add(e.id);let{ids:t}=D.
value,n=t[t.indexOf(e.id)+1]??t[t.indexOf(e.id)-1];D.change({ids:t.filter(o=>o!==e.id)}),E.value?.kind==="picture"&&E.value.
id===e.id&&E.set(n?{kind:"picture",id:n}:null),N("The picture is deleted.",{label:"Undo",act:()=>{Mt.delete(e.id),Y()},otherwise:()=>{
kt(`/api/images/${e.id}`).then(Y,o=>N(B(o)))}})}function xe(e,t=!0){let n=u=>e[u]===void 0||e[u]===null?"":String(e[u]),
o=n("guidance"),s=F(o),a=S.value?.models.find(u=>u.id===n("model"))?.id??"",i=n("width")!==""&&n("height")!==""?`${n("wi\
dth")}x${n("height")}`:"",l={};for(let u of tt(A(a)))n(u.key)!==""&&(l[u.key]=n(u.key));g.change({mode:"picture",prompt:n(
"prompt"),negative:n("negative_prompt"),model:a,guidance:o===""||o==="default"?"default":s.length===0?"none":"own",rules:s,
more:l,size:i===A(a)?.attune.default_size?"":i,steps:n("steps"),scheduler:n("scheduler"),...t?{seed:n("seed"),newSeed:!1}:
{}}),_e.set(null)}var hr=e=>(e?.attune.takes??[]).some(t=>t==="image"||t==="references");async function Je(e){try{let{parameters:t}=await dn(
e);t?(xe(t),N(`The settings of ${e.name} are recalled.`),rt.set("Settings recalled.")):hr(A(g.value.model))?(await Ct(e),
N(`${e.name} says nothing of how it was made; the next picture begins with it.`)):N(`${e.name} says nothing of how it wa\
s made.`)}catch(t){N(B(t))}}async function Ct(e){let t=await new Promise((n,o)=>{let s=new FileReader;s.onload=()=>n(String(
s.result)),s.onerror=()=>o(new Error(`${e.name} cannot be read.`)),s.readAsDataURL(e)});g.change({picture:{name:e.name,data:t}})}
var $e=new T(null),yn=0;function N(e,t){Ee(!1),$e.set({text:e,...t}),yn=window.setTimeout(()=>Ee(!1),t?7e3:4500)}function Ee(e){
clearTimeout(yn);let t=$e.value;$e.set(null),e?t?.act?.():t?.otherwise?.()}addEventListener("pagehide",()=>Ee(!1));function wn(){let e=_(g),t=_(S),{answer:n}=_(L),o=Ze(A(e.model)),s=()=>{let i=F(n?.guidance??"none");if(i.length>0)return i;
let l=o?.rules[0]?.name??"nag";return[fe(o,l)??Pt(t.rules.find(u=>u.name===l))]},a=i=>g.change(i==="own"?{guidance:i,rules:e.
guidance==="own"?e.rules:s()}:{guidance:i});return r("fieldset",{class:"card guidance",children:[r("legend",{children:"G\
uidance"}),r("div",{class:"segments",role:"group","aria-label":"Which guidance",children:[r(ee,{name:"guidance",value:"d\
efault",chosen:e.guidance,choose:a,text:"Automatic"}),r(ee,{name:"guidance",value:"none",chosen:e.guidance,choose:a,text:"\
None"}),r(ee,{name:"guidance",value:"own",chosen:e.guidance,choose:a,text:"My own"})]}),e.guidance==="default"&&r(gr,{text:n?.
guidance,rules:t.rules,adjust:()=>a("own")}),e.guidance==="none"&&r("p",{class:"hint",children:"The plain model. Nothing\
 reads the negative prompt."}),e.guidance==="own"&&r(_r,{asked:e,rules:t.rules,families:t.families,family:o})]})}function ee({
name:e,value:t,chosen:n,choose:o,text:s}){return r("label",{children:[r("input",{type:"radio",name:e,value:t,checked:n===
t,onChange:()=>o(t)}),r("span",{children:s})]})}function gr({text:e,rules:t,adjust:n}){let o=F(e??"none");return o.length===
0?r("p",{class:"hint",children:"What is published for this model: none without a negative prompt. Write one, and a rule \
that reads it turns on."}):r("div",{class:"resolved",children:[o.map(s=>{let a=t.find(l=>l.name===s.name),i=Object.entries(
s.values).filter(([l])=>a?.parameters.some(u=>u.name===l&&he(u)));return r("p",{children:[r("strong",{children:a?.title??
s.name})," ",i.map(([l,u])=>r("code",{children:[l," ",u]},l))]},s.name)}),r("p",{class:"hint",children:"The published va\
lues for this model."}),r("button",{type:"button",class:"small",onClick:n,children:"Adjust"})]})}function Pt(e){return e?
F(e.text)[0]??{name:e.name,values:{}}:{name:"nag",values:{}}}function _r({asked:e,rules:t,families:n,family:o}){let s=u=>g.
change({rules:u}),a=t.filter(u=>!e.rules.some(f=>f.name===u.name)),i=u=>o?.rules.some(f=>f.name===u.name)??!1,l=u=>{let f=t.
find(c=>c.name===u);f&&s([...e.rules,fe(o,u)??Pt(f)])};return r(R,{children:[e.rules.map((u,f)=>{let c=t.find(p=>p.name===
u.name);return c&&r(br,{rule:c,chosen:u,families:n,family:o,change:p=>s(e.rules.map((m,d)=>d===f?p:m)),remove:()=>s(e.rules.
filter((p,m)=>m!==f))},u.name)}),r("label",{class:"add",children:[r("span",{class:"name",children:"Add a rule"}),r("sele\
ct",{value:"",onChange:u=>{l(u.currentTarget.value),u.currentTarget.value=""},children:[r("option",{value:"",children:"C\
hoose…"}),[["Published for this model",a.filter(i)],["Others",a.filter(u=>!i(u))]].map(([u,f])=>f.length>0&&r("optgrou\
p",{label:u,children:f.map(c=>r("option",{value:c.name,children:c.title??c.name},c.name))},u))]})]}),r(vr,{asked:e,set:s})]})}
function vr({asked:e,set:t}){let[n,o]=P(null),{error:s}=_(L);return r("label",{children:[r("span",{class:"name",children:"\
As text, as on the command line"}),r("input",{type:"text",class:"mono",spellcheck:!1,autocomplete:"off",value:n??ae(e.rules),
"aria-invalid":s?.param==="guidance",onFocus:()=>o(et(e)),onInput:a=>{o(a.currentTarget.value),t(F(a.currentTarget.value))},
onBlur:()=>o(null)})]})}function br({rule:e,chosen:t,families:n,family:o,change:s,remove:a}){let i=(m,d)=>s({...t,values:{
...t.values,[m]:d}}),l=n.filter(m=>m.rules.some(d=>d.name===e.name)),u=fe(o,e.name)??Pt(e),[f,c]=P(""),p=n.find(m=>m.family===
f)?.rules.find(m=>m.name===e.name)??o?.rules.find(m=>m.name===e.name);return r("section",{class:"rule","aria-label":e.title??
e.name,children:[r("header",{children:[r("h2",{children:e.title??e.name}),r("button",{type:"button",class:"plain","aria-\
label":`Remove ${e.name}`,title:"Remove",onClick:a,children:r($,{name:"close"})})]}),r("p",{class:"hint",children:e.about}),
e.more_passes>0&&r("p",{class:"hint",children:["Costs ",e.more_passes===1?"one more pass":`${e.more_passes} more passes`,
" a step."]}),e.parameters.filter(he).map(m=>r(yr,{rule:e,parameter:m,families:n,value:t.values[m.name]??m.default,plain:u.
values[m.name]??m.default,set:d=>i(m.name,d)},m.name)),r("details",{children:[r("summary",{children:["More of ",e.name]}),
e.parameters.filter(m=>!he(m)).map(m=>r("label",{children:[r("span",{class:"name",children:m.name}),m.kind==="choice"?r(
"select",{value:t.values[m.name]??m.default,onChange:d=>i(m.name,d.currentTarget.value),children:m.choices.map(d=>r("opt\
ion",{value:d,children:d},d))}):r("input",{type:"text",class:"mono",value:t.values[m.name]??"",placeholder:m.default,onInput:d=>i(
m.name,d.currentTarget.value)}),r("span",{class:"hint",children:m.about})]},m.name)),r("label",{children:[r("span",{class:"\
name",children:"Values published for"}),r("select",{value:f,onChange:m=>{c(m.currentTarget.value);let d=fe(n.find(h=>h.family===
m.currentTarget.value),e.name);d&&s(d)},children:[r("option",{value:"",children:p&&f===""?"this model":"Choose a model…"}),
l.map(m=>r("option",{value:m.family,children:m.title},m.family))]}),p&&r("span",{class:"hint",children:[p.origin,": ",p.
source]})]})]})]})}function yr({rule:e,parameter:t,families:n,value:o,plain:s,set:a}){let{min:i,max:l,step:u}=qe(e,t,n),
f=Number(o),c=Number.isFinite(f)?f:o.startsWith("inf")?l:i,p=`${e.name}-${t.name}`,m=Math.min(Math.max((c-i)/(l-i),0),1);
return r("div",{class:"slider",children:[r("label",{for:p,class:"name",children:t.name}),o!==s&&r("button",{type:"button",
class:"reset",onClick:()=>a(s),"aria-label":`Set ${t.name} back to ${s}`,children:["back to ",s]}),r("input",{type:"text",
inputmode:"decimal",class:"number","aria-label":`${t.name}, ${t.range??"any number"}`,value:o,onChange:d=>a(d.currentTarget.
value.trim()||s)}),r("input",{type:"range",id:p,min:i,max:l,step:u,value:c,style:{"--part":m},"aria-describedby":`${p}-a\
bout`,"aria-valuetext":o,onInput:d=>a(Ce(d.currentTarget.valueAsNumber))}),r("p",{class:"hint",id:`${p}-about`,children:[
t.about," ",r("span",{class:"range",children:t.range})]})]})}function xn(){let e=_(g),t=A(e.model),{answer:n,error:o}=_(L),s=_(_e),a=n&&n.reads_negative===!1&&e.negative.trim()!=="";
return r("form",{class:"composer","aria-label":"What to make",onSubmit:i=>{i.preventDefault(),ce()},children:[r("div",{class:"\
card words",children:[r("label",{children:[r("span",{class:"name",children:"Prompt"}),r("textarea",{id:"prompt",rows:2,value:e.
prompt,placeholder:"What the picture shows",required:!0,"aria-invalid":(s??o)?.param==="prompt",onInput:i=>g.change({prompt:i.
currentTarget.value})})]}),r("label",{class:"negative",children:[r("span",{class:"name",children:"Not in the picture"}),
r("textarea",{id:"negative",rows:1,value:e.negative,placeholder:"The negative prompt","aria-describedby":"negative-help",
onInput:i=>g.change({negative:i.currentTarget.value})})]}),r("p",{id:"negative-help",class:a?"warning":"hint",role:"stat\
us",children:a?"Nobody reads the negative prompt: the guidance has no rule that does. Choose Automatic, or add nag.":e.negative.
trim()===""?"Works in few steps too: guidance in attention reads it.":""}),r("p",{class:"examples",children:[r("span",{class:"\
hint",children:"Try"}),Tt(t).map(([i,l,u])=>r("button",{type:"button",class:"chip",onClick:()=>g.change({prompt:i,negative:l,
seed:String(u)}),children:[i," ",r("span",{class:"not",children:["not ",l]})]},i))]})]}),r(kr,{asked:e}),r(wn,{}),r(Tr,{
asked:e}),r(Cr,{asked:e}),r("div",{class:"go",children:[r(xr,{}),r("button",{type:"submit",class:"primary",disabled:_(Pe),
"aria-keyshortcuts":"Control+Enter",children:[wr(e)," ",r("kbd",{"aria-hidden":"true",children:"Ctrl ⏎"})]})]})]})}function wr(e){
let t=e.mode==="grid"?nt(e.grid).length*e.count:e.count;return{picture:"Make the picture",compare:"Make both pictures",seeds:`\
Make ${t} pictures`,grid:`Make ${t} pictures`}[e.mode]}function xr(){let{answer:e,error:t}=_(L),n=_(_e)??t,o=e?.seconds??
0,s=(e?.warnings??[]).filter(a=>!a.startsWith("No guidance rule reads"));return r("div",{class:"warnings",children:[r("d\
iv",{role:"alert",children:n&&r("p",{class:"error",children:n.message})}),r("div",{role:"status",children:[s.map(a=>r("p",
{class:"warning",children:a},a)),!n&&e&&e.size&&r("p",{class:"hint",children:[e.size.replace("x"," × "),", ",e.steps," \
steps",o>=5?`, about ${Math.round(o)} s`:""]})]})]})}function kr({asked:e}){let t=i=>{let l=i==="grid"&&e.grid.parameter===
""?Mn(Sn(e)[0]?.key??"steps",e):e.grid;g.change({mode:i,grid:l,count:i==="grid"?Math.min(e.count,2):e.count})},n=Re(e),{
answer:o}=_(L),s=F(o?.guidance??""),a=o?.guidance!==void 0&&ae(s.map(({name:i})=>({name:i,values:{}})))===n;return r("fi\
eldset",{class:"card",children:[r("legend",{children:"Make"}),r("div",{class:"segments four",role:"group","aria-label":"\
What to make",children:[r(ee,{name:"mode",value:"compare",chosen:e.mode,choose:t,text:"Compare"}),r(ee,{name:"mode",value:"\
picture",chosen:e.mode,choose:t,text:"Picture"}),r(ee,{name:"mode",value:"seeds",chosen:e.mode,choose:t,text:"Seeds"}),r(
ee,{name:"mode",value:"grid",chosen:e.mode,choose:t,text:"Grid"})]}),e.mode==="compare"&&r("p",{class:a?"warning":"hint",
children:a?"Both pictures would be the same: say what must not be in the picture, or add a rule.":`The same seed twice: ${n===
"none"?"without guidance":`with ${n} alone`}, and as you ask.`}),e.mode==="seeds"&&r($t,{text:"Pictures",least:1,most:10,
value:e.count,set:kn,about:"Seeds that follow one another."}),e.mode==="grid"&&r(Sr,{asked:e})]})}var kn=e=>g.change({count:e});
function $t(e){let{text:t,least:n,most:o,value:s,set:a,about:i}=e;return r("label",{class:i===void 0?void 0:"line",children:[
r("span",{class:"name",children:t}),r("input",{type:"number",class:"number",min:n,max:o,value:s,onChange:l=>a(Math.min(Math.
max(Math.round(l.currentTarget.valueAsNumber)||n,n),o))}),i!==void 0&&r("span",{class:"hint",children:i})]})}function Sn(e){
let t=e.guidance==="own"?e.rules:F(L.value.answer?.guidance??"none"),n=S.value?.rules??[];return[...t.flatMap(o=>(n.find(
s=>s.name===o.name)?.parameters??[]).filter(he).map(s=>({key:`${o.name}.${s.name}`,text:`${o.name}: ${s.name}`}))),{key:"\
steps",text:"steps"},...A(e.model)?.attune.takes.includes("guidance_scale")?[{key:"guidance_scale",text:"embedded guidan\
ce"}]:[]]}function Mn(e,t){let n=A(t.model),[o,s]=e.split("."),a=S.value?.rules.find(m=>m.name===o),i=a?.parameters.find(
m=>m.name===s);if(!a||!i){let m=n?.attune.default_steps??4;return{parameter:e,from:"1",to:e==="steps"?String(m*2):"7",count:4}}
let{min:l,max:u}=qe(a,i,S.value?.families??[]),f=t.guidance==="own"?t.rules:F(L.value.answer?.guidance??"none"),c=Number(
f.find(m=>m.name===o)?.values[i.name]??i.default),p=i.maximum===void 0&&c>0?Math.min(c*2,u):u;return{parameter:e,from:Ce(
l),to:Ce(p),count:i.kind==="integer"?Math.min(u-l+1,4):4}}function Sr({asked:e}){_(L);let{grid:t}=e,n=Sn(e),o=a=>g.change(
{grid:{...t,...a}}),s=(a,i)=>r("label",{children:[r("span",{class:"name",children:i}),r("input",{type:"text",inputmode:"\
decimal",class:"number",value:t[a],onChange:l=>o({[a]:l.currentTarget.value})})]});return r(R,{children:[r("label",{children:[
r("span",{class:"name",children:"Over"}),r("select",{value:t.parameter,onChange:a=>g.change({grid:Mn(a.currentTarget.value,
e)}),children:[n.every(a=>a.key!==t.parameter)&&r("option",{value:t.parameter,children:[t.parameter," (does not act now)"]}),
n.map(a=>r("option",{value:a.key,children:a.text},a.key))]})]}),r("div",{class:"fields",children:[s("from","From"),s("to",
"To"),r($t,{text:"Values",least:2,most:8,value:t.count,set:a=>o({count:a})}),r($t,{text:"Seeds",least:1,most:6,value:e.count,
set:kn})]}),r("p",{class:"hint",children:nt(t).join(", ")})]})}function Mr(e){let[t=512,n=512]=(e?.attune.default_size??
"").split("x").map(Number),o=e?.attune.size_multiple??16,s=t*n,a=i=>Math.max(Math.round(i/o),1)*o;return[[1,1],[4,3],[3,
4],[3,2],[2,3],[16,9],[9,16]].map(([i,l])=>`${a(Math.sqrt(s*i/l))}x${a(Math.sqrt(s*l/i))}`).filter((i,l,u)=>u.indexOf(i)===
l)}function Tr({asked:e}){let t=A(e.model),n=t?.attune.default_size??"",o=[...new Set([n,...Mr(t),...e.size!==""?[e.size]:
[]])];return r("fieldset",{class:"card",children:[r("legend",{children:"Picture"}),r("div",{class:"fields",children:[r("\
label",{children:[r("span",{class:"name",children:"Size"}),r("select",{value:e.size===""?n:e.size,onChange:s=>g.change({
size:s.currentTarget.value===n?"":s.currentTarget.value}),children:o.map(s=>r("option",{value:s,children:[s.replace("x",
" × "),s===n?" (the model's)":""]},s))})]}),r("label",{children:[r("span",{class:"name",children:"Steps"}),r("input",{type:"\
number",class:"number",min:1,max:t?.attune.max_steps,value:e.steps,placeholder:String(t?.attune.default_steps??""),onInput:s=>g.
change({steps:s.currentTarget.value})})]})]}),r("div",{class:"seed",children:[r("label",{children:[r("span",{class:"name",
children:"Seed"}),r("input",{type:"text",inputmode:"numeric",pattern:"[0-9]*",value:e.seed,placeholder:"by chance",onInput:s=>g.
change({seed:s.currentTarget.value.replace(/\D/g,"").slice(0,18)})})]}),r("button",{type:"button",class:"plain",title:"A\
nother seed","aria-label":"Another seed",onClick:()=>g.change({seed:Ke()}),children:r($,{name:"dice"})}),r("label",{class:"\
check",children:[r("input",{type:"checkbox",checked:e.newSeed,onChange:s=>g.change({newSeed:s.currentTarget.checked})}),
r("span",{children:"another one each time"})]})]})]})}function Cr({asked:e}){let t=A(e.model),n=S.value,o=t?.attune.takes.
some(s=>s==="image"||s==="references");return r("details",{class:"card more",children:[r("summary",{children:"More"}),n.
models.length>1&&r("label",{children:[r("span",{class:"name",children:"Model"}),r("select",{value:t?.id,onChange:s=>g.change(
{model:s.currentTarget.value,size:"",steps:""}),children:n.models.map(s=>r("option",{value:s.id,children:s.id},s.id))})]}),
o&&r("div",{class:"begin",children:[r("label",{children:[r("span",{class:"name",children:"Begin with a picture"}),r("inp\
ut",{type:"file",accept:"image/*",onChange:s=>{let a=s.currentTarget.files?.[0];a&&Ct(a)}})]}),e.picture&&r("p",{children:[
r("img",{src:e.picture.data,alt:e.picture.name,width:64}),r("button",{type:"button",class:"small",onClick:()=>g.change({
picture:null}),children:["Without ",e.picture.name]})]})]}),r("label",{class:"check",children:[r("input",{type:"checkbox",
checked:e.trace,onChange:s=>g.change({trace:s.currentTarget.checked})}),r("span",{children:"Record what guidance does"})]}),
r("p",{class:"hint",children:"Measures every attention layer in every step; the picture stays the same. Takes some time \
with large models."}),r("label",{children:[r("span",{class:"name",children:"Scheduler"}),r("input",{type:"text",class:"m\
ono",value:e.scheduler,placeholder:t?.attune.scheduler,spellcheck:!1,onChange:s=>g.change({scheduler:s.currentTarget.value.
trim()})}),r("span",{class:"hint",children:"euler, heun, lcm, dpmpp_2m karras, …"})]}),tt(t).map(s=>r("label",{class:s.
kind==="flag"?"check":"",children:[s.kind==="flag"?r("input",{type:"checkbox",checked:e.more[s.key]==="true",onChange:a=>g.
change({more:{...e.more,[s.key]:a.currentTarget.checked?"true":""}})}):r("span",{class:"name",children:s.key.replaceAll(
"_"," ")}),s.kind==="flag"?r("span",{children:s.key.replaceAll("_"," ")}):r("input",{type:"text",value:e.more[s.key]??"",
placeholder:s.range??"",onChange:a=>g.change({more:{...e.more,[s.key]:a.currentTarget.value.trim()}})}),r("span",{class:"\
hint",children:s.description})]},s.key))]})}function Tn({without:e,with:t,labels:n,ratio:o,most:s}){let[a,i]=P(K("beside")??!1),[l,u]=P(50),f=c=>{i(c),ie("beside",c)};
return r("div",{class:`comparison ${a?"two":"one"}`,style:{"--most":s,"--ratio":o},children:[a?r("div",{class:"beside",children:[
r("figure",{children:[r("div",{style:{aspectRatio:String(o)},children:e}),r("figcaption",{children:n[0]})]}),r("figure",
{children:[r("div",{style:{aspectRatio:String(o)},children:t}),r("figcaption",{children:n[1]})]})]}):r("div",{class:"ove\
r",style:{"--at":`${l}%`,aspectRatio:String(o)},children:[r("div",{class:"layer",children:t}),r("div",{class:"layer firs\
t",children:e}),r("span",{class:"tag left","aria-hidden":"true",children:n[0]}),r("span",{class:"tag right","aria-hidden":"\
true",children:n[1]}),r("input",{type:"range",min:0,max:100,step:1,value:l,"aria-label":`Divider. Left: ${n[0]}. Right: ${n[1]}\
.`,"aria-valuetext":`${l} % ${n[0]}`,onInput:c=>u(c.currentTarget.valueAsNumber)}),r("span",{class:"divider","aria-hidde\
n":"true",children:r("span",{class:"knob"})})]}),r("div",{class:"segments two",role:"group","aria-label":"How to compare",
children:[r("label",{children:[r("input",{type:"radio",name:"beside",checked:!a,onChange:()=>f(!1)}),r("span",{children:"\
Divider"})]}),r("label",{children:[r("input",{type:"radio",name:"beside",checked:a,onChange:()=>f(!0)}),r("span",{children:"\
Side by side"})]})]})]})}var Pr=[{title:"Attention",test:/^attention\./,open:!0},{title:"Predictions",test:/^prediction\./,open:!0},{title:"Retri\
eval: attention as a Hopfield network",test:/^(hopfield|entmax|anderson)\./,open:!1}];function Pn({url:e,picture:t}){let[
n,o]=P(null),[s,a]=P("");if(X(()=>{se(e).then(o,l=>a(B(l)))},[e]),s)return r("p",{class:"error",role:"alert",children:s});
if(!n)return r("p",{class:"hint",children:"Reading the trace…"});let i=n.series.filter(l=>l.rule!==null);return r("sec\
tion",{class:"trace","aria-label":"Trace",children:[n.places.slice(0,1).map(l=>r(Nr,{places:l,picture:t},"places")),i.map(
(l,u)=>r(Cn,{trace:n,series:l},u)),Pr.map(({title:l,test:u,open:f})=>{let c=n.series.filter(p=>p.rule===null&&u.test(p.quantity));
return c.length>0&&r("details",{open:f,children:[r("summary",{children:l}),r("div",{children:c.map(p=>r(Cn,{trace:n,series:p},
p.quantity))})]},l)})]})}function de(e,t){let n=t.unit==="share"?e*100:e,o=Math.abs(n)>=1e3||n!==0&&Math.abs(n)<.001?n.toExponential(
1):String(Number(n.toPrecision(3)));return t.unit==="share"?`${o} %`:o}var $r=[[43,30,102],[47,92,148],[31,142,140],[93,
187,99],[242,227,76]],Er=[[29,78,158],[111,163,216],[213,216,220],[231,154,85],[176,74,18]];function $n(e,t,n){let o=t<0&&
n>0,s=Math.max(-t,n),[a,i]=o?[-s,s]:[t,n],l=i>a?Math.min(Math.max((e-a)/(i-a),0),1):.5,u=o?Er:$r,f=l*(u.length-1),c=Math.
min(Math.floor(f),u.length-2),p=u[c].map((v,y)=>Math.round(v+(u[c+1][y]-v)*(f-c))),[m,d,h]=p.map(v=>{let y=v/255;return y<=
.04045?y/12.92:((y+.055)/1.055)**2.4}),w=.2126*m+.7152*d+.0722*h;return{color:`rgb(${p.join(" ")})`,isLight:w>.179}}function En(e){
let t=e.some(o=>o.startsWith("single_transformer_blocks.")),n=e.map(o=>o.replace(/\.attn[12]?$/,"").replace(/^single_transformer_blocks\./,
"single.").replace(/^transformer_blocks\./,t?"double.":"block.").replace(/^(down|up)_blocks\./,"$1.").replace(/^mid_block\./,
"mid.").replaceAll("attentions.","").replaceAll("transformer_blocks.",""));return new Set(n).size===n.length?n:e}var Rr=500;
function Cn({trace:e,series:t}){let n=e.quantities.find(s=>s.name===t.quantity),o=[...new Set(t.values.map(s=>s.layer))].
filter(s=>s!==null).sort((s,a)=>s-a);return r("article",{class:"panel",children:[r("h4",{children:[n.title,t.rule!==null&&
r("code",{children:e.rules[t.rule]?.name})]}),r("p",{children:t.says}),o.length===0?r(Fr,{trace:e,series:t,quantity:n}):
o.length*e.steps.length<=Rr?r(Jr,{trace:e,series:t,quantity:n,layers:o}):r(Or,{trace:e,series:t,quantity:n,layers:o}),r(
"p",{class:"hint",children:n.definition})]})}function Jr({trace:e,series:t,quantity:n,layers:o}){let s=En(o.map(u=>e.layers[u].
path)),a=t.values.map(u=>u.mean),[i,l]=[Math.min(...a),Math.max(...a)];return r("div",{class:"scroll",tabIndex:0,role:"r\
egion","aria-label":`${n.title}, by layer and step`,children:r("table",{class:"map",children:[r("thead",{children:r("tr",
{children:[r("th",{scope:"col",children:"layer"}),e.steps.map(u=>r("th",{scope:"col",children:["step ",u.index+1]},u.index))]})}),
r("tbody",{children:o.map((u,f)=>r("tr",{children:[r("th",{scope:"row",title:e.layers[u].path,children:s[f]}),e.steps.map(
c=>{let p=t.values.find(h=>h.layer===u&&h.step===c.index);if(!p)return r("td",{class:"none",children:"–"},c.index);let{
color:m,isLight:d}=$n(p.mean,i,l);return r("td",{class:d?"light":"dark",style:{background:m},title:`middle 80 %: ${de(p.
p10,n)} to ${de(p.p90,n)}`,children:de(p.mean,n)},c.index)})]},u))})]})})}function Or({trace:e,series:t,quantity:n,layers:o}){
let s=me(null),[a,i]=P(""),l=En(o.map(h=>e.layers[h].path)),u=t.values.map(h=>h.mean),[f,c]=[Math.min(...u),Math.max(...u)],
[p,m]=[e.steps.length,o.length];X(()=>{let h=s.current?.getContext("2d");if(h)for(let w of t.values)h.fillStyle=$n(w.mean,
f,c).color,h.fillRect(w.step,o.indexOf(w.layer),1,1)},[t]);let d=h=>{let w=s.current.getBoundingClientRect(),v=Math.min(
Math.floor((h.clientX-w.left)/w.width*p),p-1),y=Math.min(Math.floor((h.clientY-w.top)/w.height*m),m-1),b=t.values.find(M=>M.
step===v&&M.layer===o[y]);i(b?`${l[y]}, step ${v+1}: ${de(b.mean,n)}`:"")};return r("figure",{class:"large",children:[r(
"canvas",{ref:s,width:p,height:m,role:"img","aria-label":`${n.title}, by layer and step. ${t.says}`,onMouseMove:d,onMouseLeave:()=>i(
"")}),r("figcaption",{class:"hint",children:["Layers down, steps to the right; dark is ",de(f,n),", light ",de(c,n),". ",
a]})]})}function Fr({trace:e,series:t,quantity:n}){let o=Math.max(...t.values.map(s=>Math.abs(s.mean)),1e-12);return r("\
table",{class:"bars",children:r("tbody",{children:t.values.map(s=>r("tr",{children:[r("th",{scope:"row",children:["step ",
(e.steps[s.step]?.index??0)+1]}),r("td",{children:[r("span",{class:"bar",style:{width:`${Math.abs(s.mean)/o*100}%`}}),r(
"span",{children:de(s.mean,n)})]})]},s.step))})})}function Nr({places:e,picture:t}){let n=f=>{let c=f.filter(p=>p!==null);
return(c[0]??[]).map((p,m)=>c.reduce((d,h)=>d+(h[m]??0),0)/Math.max(c.length,1))},[o,s]=[n(e.by_row),n(e.by_column)],a=Math.
max(...o,...s,1e-12),i=o.indexOf(Math.max(...o)),l=(f,c,p)=>p[Math.min(Math.floor(f/c*3),2)],u=`Guidance moves the ${l(i,
o.length,["upper","middle","lower"])} part of the picture most, and its ${l(s.indexOf(Math.max(...s)),s.length,["left","\
middle","right"])} part.`;return r("article",{class:"panel places",children:[r("h4",{children:"Where in the picture"}),r(
"p",{children:u}),r("div",{class:"frame",role:"img","aria-label":u,children:[r("img",{src:t.url,alt:""}),r("div",{class:"\
rows",children:o.map((f,c)=>r("span",{style:{width:`${f/a*100}%`}},c))}),r("div",{class:"columns",children:s.map((f,c)=>r(
"span",{style:{height:`${f/a*100}%`}},c))})]}),r("p",{class:"hint",children:"How far guidance moves the attention output\
, by row and column of the latents, over all steps and layers."})]})}function Jn(){let e=_(E);_(le);let t=_(H),n=e?.kind==="set"?t.find(s=>s.id===e.id):void 0,o=e?.kind==="picture"?Z(e.id):
void 0;return r("section",{id:"stage",class:"stage","aria-label":"Result",tabIndex:-1,children:n?r(Dr,{set:n},n.id):o?r(
Br,{picture:o},o.id):r(Ar,{})})}function Ar(){return r("div",{class:"empty",children:[r("svg",{viewBox:"0 0 220 110",width:"\
220",height:"110","aria-hidden":"true",focusable:"false",children:[r("rect",{x:"6",y:"8",width:"94",height:"94",rx:"16",
class:"ghost"}),r("rect",{x:"120",y:"8",width:"94",height:"94",rx:"16",class:"ghost lit"}),r("path",{d:"M110 0v110",class:"\
divider"}),r("circle",{cx:"110",cy:"55",r:"11",class:"knob"})]}),r("h2",{children:"One seed, without and with guidance"}),
r("p",{children:"The prompt is filled in. Make both pictures, and move the divider between them to see what the negative\
 prompt took away."}),r("button",{type:"button",class:"primary",onClick:()=>{ce()},children:"Make the first pictures"})]})}
function Jt(e,t){let n=t.get(e.job);return{job:n,picture:n?.images.find(o=>o.index===e.index)}}function Dr({set:e}){let t=_(
O),n=[...new Set(e.cells.map(u=>u.job))];X(()=>{for(let u of n)t.has(u)||ge(u)},[e.id]);let o=n.map(u=>t.get(u)).filter(
u=>u!==void 0&&Q(u)),[s,a]=P(e.kind==="compare"?1:0),i=e.cells[Math.min(s,e.cells.length-1)],{picture:l}=i?Jt(i,t):{picture:void 0};
return r(R,{children:[r("header",{class:"bar",children:[r("h2",{children:e.prompt}),o.length>0&&r("button",{type:"button",
class:"small",onClick:()=>{for(let u of o)we(u.id)},children:["Cancel",o.length>1?` all ${o.length}`:""]})]}),r(jr,{ids:n,
looked:i?.job}),r("div",{class:e.cells.length<=2?"body":"body wide",children:[e.kind==="compare"&&e.cells.length===2?r(Tn,
{without:r(at,{cell:e.cells[0]}),with:r(at,{cell:e.cells[1]}),labels:[e.cells[0].label,e.cells[1].label],ratio:Rn(e,t),most:Rt(
l)}):e.cells.length===1?r("div",{class:"single",style:{"--most":Rt(l),"--ratio":Rn(e,t)},children:r(at,{cell:e.cells[0]})}):
r(Lr,{set:e,focus:s,choose:a}),l&&r(On,{picture:l,compared:e.kind==="compare"})]})]})}function Rt(e){return`${e?Math.min(
Math.max(e.width*3.5,320),1024):448}px`}function Rn(e,t){for(let s of e.cells){let{picture:a,job:i}=Jt(s,t);if(a)return a.
width/a.height;let[l,u]=[Number(i?.request.width),Number(i?.request.height)];if(l>0&&u>0)return l/u}let[n,o]=(A("")?.attune.
default_size??"1x1").split("x").map(Number);return n/o}function jr({ids:e,looked:t}){let n=_(O),o=e.map(a=>n.get(a)).filter(
a=>a!==void 0),s=o.find(a=>a.id===t)?.warnings??[];return r(R,{children:[o.filter(a=>a.status==="failed").map(a=>r("p",{
class:"error",role:"alert",children:a.error?.message},a.id)),s.map(a=>r("p",{class:"warning",children:a},a))]})}function at({
cell:e,small:t=!1}){let{job:n,picture:o}=Jt(e,_(O)),s=_(W).get(e.job);if(o)return r("img",{class:"made",src:t?o.thumbnail_url:
o.url,width:o.width,height:o.height,alt:Oe(o)});let a=s?.image===e.index&&n!==void 0&&Q(n),i=n?n.status==="failed"?"Fail\
ed":n.status==="cancelled"?"Cancelled":a&&s.count>0?`Step ${s.index} of ${s.count}`:n.status==="running"?a?"Reading the \
prompt":"Next":Q(n)?Ot(n):"Deleted":"No longer kept";return r("div",{class:`making ${n&&Q(n)?"live":"over"}`,children:[a&&
s.preview&&r("img",{src:s.preview,alt:""}),r("span",{class:"state",children:[!t&&a&&s.count>0&&r("progress",{max:s.count,
value:s.index,"aria-label":e.label}),i]})]})}function Ot(e){let t=e.seconds??0,n=e.position?`${e.position} before it`:"N\
ext";return t>=2?`${n}, ${Math.round(t)} s`:n}function Oe(e){let t=e.parameters.negative_prompt;return`${String(e.parameters.
prompt??"A picture")}${t?`, not ${String(t)}`:""}, seed ${e.seed}`}var Et=e=>e.axis.replace("."," ").replaceAll("_"," ");
function Lr({set:e,focus:t,choose:n}){let o=Math.max(e.columns.length,1),s=l=>{let u=e.cells[l];return r("button",{type:"\
button",class:"cell","aria-pressed":l===t,onClick:()=>n(l),title:u.label,children:[r(at,{cell:u,small:!0}),r("span",{class:e.
columns.length>0?"sr":"label",children:u.label})]})},[,a]=P(0),i=l=>{let u=e.columns.length>0?o:1,f={ArrowLeft:-1,ArrowRight:1,
ArrowUp:-u,ArrowDown:u}[l.key],c=t+(f??0);f===void 0||c<0||c>=e.cells.length||(l.preventDefault(),n(c),a(c),l.currentTarget.
querySelectorAll(".cell")[c]?.focus())};return e.columns.length===0?r("div",{class:"seeds",onKeyDown:i,children:e.cells.
map((l,u)=>r("div",{children:s(u)},l.label))}):r("div",{class:"scroll",tabIndex:0,role:"region","aria-label":`Grid over ${Et(
e)}`,children:r("table",{class:"grid",onKeyDown:i,children:[r("caption",{class:"sr",children:["Pictures by ",Et(e)," and\
 seed"]}),r("thead",{children:r("tr",{children:[r("th",{scope:"col",children:Et(e)}),e.columns.map(l=>r("th",{scope:"col",
children:l},l))]})}),r("tbody",{children:e.rows.map((l,u)=>r("tr",{children:[r("th",{scope:"row",children:l}),e.columns.
map((f,c)=>r("td",{children:s(u*o+c)},f))]},l))})]})})}function Br({picture:e}){let{ids:t}=_(D),n=t.indexOf(e.id),o=s=>{
let a=t[n+s];a&&ue(a)};return r(R,{children:[r("header",{class:"bar",children:[r("h2",{children:String(e.parameters.prompt??
"")}),r("span",{class:"pair",children:[r("button",{type:"button",class:"plain","aria-label":"Newer picture",title:"Newer\
 (←)",disabled:n<=0,onClick:()=>o(-1),children:r($,{name:"back"})}),r("button",{type:"button",class:"plain","aria-labe\
l":"Older picture",title:"Older (→)",disabled:n<0||n>=t.length-1,onClick:()=>o(1),children:r($,{name:"next"})})]})]}),
r("div",{class:"body",children:[r("div",{class:"single",style:{"--most":Rt(e),"--ratio":e.width/e.height},children:r("im\
g",{class:"made",src:e.url,width:e.width,height:e.height,alt:Oe(e)})}),r(On,{picture:e})]})]})}var Xr=/^(hopfield|entmax|anderson)\./;
function On({picture:e,compared:t=!1}){let n=Z(e.id)??e,{parameters:o}=n,[s,a]=P(!1),i=(n.findings??[]).filter(p=>!Xr.test(
p.quantity)).sort((p,m)=>+(p.rule===void 0)-+(m.rule===void 0)),l=F(String(o.guidance??"none")),u=p=>String(o[p]??""),f=p=>{
navigator.clipboard?.writeText(p).then(()=>N("Copied."))},c=p=>{xe(o),g.change(p),ce(g.value)};return r(R,{children:[r("\
div",{class:"details",children:[r("div",{class:"actions",children:[r("button",{type:"button",onClick:()=>{xe(o),N("The s\
ettings are in the form.")},children:"Use these settings"}),!t&&l.length>0&&u("guidance")!==Re(g.value)&&r("button",{type:"\
button",onClick:()=>c({mode:"compare"}),children:"Compare with plain"}),r("button",{type:"button",onClick:()=>c({mode:"s\
eeds",count:4,seed:u("seed")}),children:"Vary the seed"}),r("span",{class:"tools",children:[r("button",{type:"button",class:"\
plain star","aria-pressed":n.starred,"aria-label":"Star: keep this picture",title:"Star (.)",onClick:()=>{st(n)},children:r(
$,{name:"star",filled:n.starred})}),r("a",{class:"button plain",href:n.url,download:`attune-${n.seed}.${n.format}`,"aria\
-label":"Download",title:"Download",children:r($,{name:"download"})}),r("button",{type:"button",class:"plain","aria-labe\
l":"Delete",title:"Delete",onClick:()=>bn(n),children:r($,{name:"trash"})})]})]}),i.length>0&&r("section",{class:"did","\
aria-label":"What guidance did",children:[r("h3",{children:"What guidance did"}),r("ul",{children:i.map(p=>r("li",{title:p.
title,class:p.rule?"own":"",children:[p.rule&&r("code",{children:F(p.rule)[0]?.name})," ",p.text]},`${p.rule} ${p.quantity}`))}),
n.trace_url&&r("button",{type:"button",class:"small","aria-expanded":s,onClick:()=>a(!s),children:s?"Hide the trace":"Wh\
ere and when: the trace"})]}),r("dl",{class:"facts",children:[u("negative_prompt")!==""&&r(R,{children:[r("dt",{children:"\
Not"}),r("dd",{children:u("negative_prompt")})]}),r("dt",{children:"Seed"}),r("dd",{children:[String(n.seed)," ",r("butt\
on",{type:"button",class:"plain tiny","aria-label":"Copy the seed",title:"Copy",onClick:()=>f(String(n.seed)),children:r(
$,{name:"copy"})})]}),r("dt",{children:"Size"}),r("dd",{children:[n.width," × ",n.height]}),r("dt",{children:"Steps"}),
r("dd",{children:u("steps")}),r("dt",{children:"Guidance"}),r("dd",{class:"mono",children:l.length===0?"none":zr(u("guid\
ance"))}),r("dt",{children:"Model"}),r("dd",{children:u("model")})]})]}),s&&n.trace_url&&r(Pn,{url:n.trace_url,picture:n})]})}
function zr(e){return F(e).map(t=>{let n=S.value?.rules.find(s=>s.name===t.name),o=Object.entries(t.values).filter(([s,a])=>{
let i=n?.parameters.find(l=>l.name===s);return i?.kind==="number"||i?.default!==a&&a!=="all"});return o.length===0?t.name:
`${t.name}: ${o.map(([s,a])=>`${s} ${a}`).join(", ")}`}).join(" + ")}function Fn(){let e=ve(_(O)),t=_(W);if(e.length===0)return null;let n=o=>{let s=H.value.find(a=>a.cells.some(i=>i.job===
o));s?E.set({kind:"set",id:s.id}):N("This was asked for in another window.")};return r("section",{class:"queue card","ar\
ia-label":"Queue",children:[r("header",{class:"bar",children:[r("h2",{children:"Being made"}),e.length>1&&r("button",{type:"\
button",class:"small",onClick:()=>{if(confirm(`Cancel all ${e.length}?`))for(let o of e)we(o.id)},children:"Cancel all"})]}),
r("ul",{children:e.map(o=>{let s=t.get(o.id),a=o.count*Math.max(s?.count??1,1),i=s?s.image*s.count+s.index:o.images.length,
l=String(o.request.prompt);return r("li",{children:[r("button",{type:"button",class:"plain what",onClick:()=>n(o.id),children:l}),
r("span",{class:"hint",children:[o.status==="running"&&o.count>1&&`${o.images.length} of ${o.count}, `,o.status!=="runni\
ng"?Ot(o):s?`step ${s.index} of ${s.count}`:"begins"]}),r("progress",{max:a,value:o.status==="running"?i:0,"aria-label":`\
Progress of ${l}`}),r("button",{type:"button",class:"plain","aria-label":`Cancel ${l}`,title:"Cancel",onClick:()=>{we(o.
id)},children:r($,{name:"close"})})]},o.id)})})]})}function Nn(){let{ids:e,more:t,starred:n}=_(D);_(le);let o=_(E),s=me(
null);return r("section",{class:"gallery","aria-label":"Gallery",children:[r("header",{class:"bar",children:[r("h2",{children:"\
Pictures"}),r("span",{class:"pair",children:[r("button",{type:"button",class:"small","aria-pressed":n,onClick:()=>{D.change(
{starred:!n,ids:[]}),Y()},children:[r($,{name:"star",filled:n})," Starred"]}),r("button",{type:"button",class:"small",onClick:()=>s.
current?.click(),children:[r($,{name:"open"})," Recall from a file"]}),r("input",{ref:s,type:"file",accept:"image/*",class:"\
sr",tabIndex:-1,"aria-label":"A picture whose settings are recalled",onChange:a=>{let i=a.currentTarget.files?.[0];i&&Je(
i),a.currentTarget.value=""}})]})]}),e.length===0?r("p",{class:"hint",children:n?"No picture has a star.":"Pictures that\
 are made appear here, and stay. Drop one anywhere on the page to recall its settings."}):r("ul",{class:"thumbs",children:e.
map(a=>{let i=Z(a);return i&&r("li",{children:r("button",{type:"button","aria-current":o?.kind==="picture"&&o.id===a?"tr\
ue":void 0,title:Oe(i),onClick:()=>{ue(a),document.querySelector("#stage")?.scrollIntoView({block:"nearest"})},children:[
r("img",{src:i.thumbnail_url,loading:"lazy",width:i.width,height:i.height,alt:Oe(i)}),i.starred&&r("span",{class:"mark",
children:[r($,{name:"star",filled:!0}),r("span",{class:"sr",children:"starred"})]})]})},a)})}),t&&r("button",{type:"butt\
on",class:"small",onClick:()=>{vn()},children:"Older pictures"})]})}var Fe=new T(K("theme")??"auto"),it=new T(!1),lt=new T(!1),An=()=>{document.documentElement.dataset.theme=Fe.value,ie("t\
heme",Fe.value)};Fe.watch(An);An();function Hr(){let e=_(S),t=_(Ge);return r(R,{children:[r("a",{class:"skip",href:"#sta\
ge",children:"To the result"}),r(Ir,{}),e?r("main",{children:[r(xn,{}),r("div",{class:"right",children:[r(Jn,{}),r(Fn,{}),
r(Nn,{})]})]}):r("main",{class:"loading",children:t?r("p",{class:"error",role:"alert",children:[t," ",r("button",{type:"\
button",onClick:()=>{Ye()},children:"Try again"})]}):r("p",{class:"hint",children:"Asking the server…"})}),r(Wr,{}),r(
qr,{}),r(Vr,{}),r(Gr,{})]})}function Ir(){let e=_(S),t=_(Fe),n={auto:"light",light:"dark",dark:"auto"},o={auto:"auto",light:"\
sun",dark:"moon"};return r("header",{class:"top",children:[r("h1",{children:[r("img",{src:"/page/icon.svg",alt:"",width:28,
height:28})," Attune"]}),r("p",{class:"model",children:e?.status.default_model}),r("nav",{"aria-label":"Page",children:[
r("a",{class:"button plain",href:"/reference/","aria-label":"The API",title:"The API",children:r($,{name:"code"})}),r("b\
utton",{type:"button",class:"plain","aria-label":`Colours: ${t}`,title:`Colours: ${t}`,onClick:()=>Fe.set(n[t]),children:r(
$,{name:o[t]})}),r("button",{type:"button",class:"plain","aria-label":"Keys",title:"Keys (?)",onClick:()=>lt.set(!0),children:r(
$,{name:"help"})})]})]})}function Wr(){let e=_($e);return r(R,{children:[r("div",{class:"toasts",role:"status",children:e&&
r("p",{class:"toast",children:[e.text,e.label&&r("button",{type:"button",onClick:()=>Ee(!0),children:e.label})]})}),r("d\
iv",{class:"sr","aria-live":"polite",children:_(rt)})]})}function qr(){let[e,t]=P(!1);return X(()=>{let n=0,o=i=>i.dataTransfer?.
types.includes("Files")??!1,s=[["dragenter",i=>{o(i)&&(n++,t(!0))}],["dragleave",()=>{n=Math.max(n-1,0),t(n>0)}],["drago\
ver",i=>{o(i)&&i.preventDefault()}],["drop",i=>{n=0,t(!1);let l=i.dataTransfer?.files[0];l&&(i.preventDefault(),Je(l))}]];
for(let[i,l]of s)addEventListener(i,l);let a=i=>{let l=[...i.clipboardData?.files??[]].find(u=>u.type.startsWith("image/"));
l&&Je(l)};return addEventListener("paste",a),()=>{for(let[i,l]of s)removeEventListener(i,l);removeEventListener("paste",
a)}},[]),e?r("div",{class:"drop","aria-hidden":"true",children:r("p",{children:"Drop the picture to recall its settings"})}):
null}function Dn(e){let t=me(null);return X(()=>{e&&!t.current?.open&&t.current?.showModal(),!e&&t.current?.open&&t.current.
close()},[e]),t}var Ur=[["Ctrl or ⌘ + Enter","make what the form says"],["p","write the prompt"],["n","write the negat\
ive prompt"],["← →","the newer or older picture; the divider of a comparison"],["u","use the settings of the picture"],
[".","give the picture a star"],["?","these keys"],["Esc","close"]];function Vr(){let e=_(lt),t=Dn(e);return r("dialog",
{ref:t,"aria-labelledby":"keys-title",onClose:()=>lt.set(!1),children:[r("h2",{id:"keys-title",children:"Keys"}),r("dl",
{class:"keys",children:Ur.map(([n,o])=>r("div",{children:[r("dt",{children:r("kbd",{children:n})}),r("dd",{children:o})]},
n))}),r("form",{method:"dialog",children:r("button",{children:"Close"})})]})}function Gr(){let e=_(it),t=Dn(e),[n,o]=P(""),
[s,a]=P(""),i=async()=>{try{await pe("/api/session",{key:n}),a(""),o(""),it.set(!1),await Ye()}catch(l){a(l instanceof z&&
l.status===401?"The server does not know this key.":B(l))}};return r("dialog",{ref:t,"aria-labelledby":"key-title",onClose:()=>it.
set(!1),children:r("form",{onSubmit:l=>{l.preventDefault(),i()},children:[r("h2",{id:"key-title",children:"This server w\
ants an API key"}),r("label",{children:[r("span",{class:"name",children:"Key"}),r("input",{type:"password",autocomplete:"\
off",value:n,onInput:l=>o(l.currentTarget.value)})]}),r("div",{role:"alert",children:s&&r("p",{class:"error",children:s})}),
r("button",{class:"primary",children:"Open"})]})})}addEventListener("keydown",e=>{if(e.key==="Enter"&&(e.ctrlKey||e.metaKey)){
e.preventDefault(),S.value&&!document.querySelector("dialog[open]")&&ce();return}let t=e.target;if(e.ctrlKey||e.metaKey||
e.altKey||document.querySelector("dialog[open]"))return;if(t.matches("textarea, select, input:not([type=checkbox]):not([\
type=radio])")){e.key==="Escape"&&t.blur();return}let n=E.value?.kind==="picture"?Z(E.value.id):void 0,o=i=>{if(!n||t.matches(
"input, .scroll, .cell"))return;let{ids:l}=D.value,u=l[l.indexOf(n.id)+i];u&&ue(u)},a={"?":()=>lt.set(!0),p:()=>document.
querySelector("#prompt")?.focus(),n:()=>document.querySelector("#negative")?.focus(),u:()=>{n&&(xe(n.parameters),N("The \
settings are in the form."))},".":()=>{n&&st(n)},ArrowLeft:()=>o(-1),ArrowRight:()=>o(1)}[e.key];a&&(e.key.startsWith("A\
rrow")||e.preventDefault(),a())});un(()=>it.set(!0));Vt(r(Hr,{}),document.querySelector("#app"));Ye();
